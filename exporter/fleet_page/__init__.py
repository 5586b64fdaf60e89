"""What the fleet page says: each device's standing, the sentence on top, what is drawn; pure."""
