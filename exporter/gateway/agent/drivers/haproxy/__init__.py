"""HAProxy: its configuration as sections, its runtime API, and the driver."""
