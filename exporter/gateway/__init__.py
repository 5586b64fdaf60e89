"""The management API of a gateway: its messages, its client, and the agent that serves it."""
