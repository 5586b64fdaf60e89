"""handshake_log."""
