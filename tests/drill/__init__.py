"""The drill: a healthy fleet is broken, and the alert has to arrive. ``python -m tests.drill``."""
