"""The terminators that the agent can stand in front of.

A new one is one file with an ``Options`` model (a ``kind`` literal in it) and a driver, and a
line in the table.
"""
