"""mosquitto: its configuration as lines, and the driver."""
