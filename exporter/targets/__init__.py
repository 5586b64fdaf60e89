"""The inventory: which gateways and devices there are, and what is known of each beforehand."""
