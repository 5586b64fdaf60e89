"""nginx, http and stream: its configuration as a tree, and the driver."""
