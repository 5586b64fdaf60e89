"""Programs that measure; each prints its figures as a ratio to a named peer or limit."""
