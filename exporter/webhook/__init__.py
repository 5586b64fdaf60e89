"""What Alertmanager delivers: read, bounded, and durable before it is answered."""
