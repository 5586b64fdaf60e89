"""The gateway agent: the management API served in front of a real TLS terminator."""
