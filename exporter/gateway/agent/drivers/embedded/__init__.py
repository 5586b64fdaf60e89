"""The embedded terminator: real TLS listeners in the agent's own process, for demo and tests."""
