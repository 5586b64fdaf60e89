"""What the devices behind the gateway trust: their reports, and the updates they are to take."""
