"""The drivers before real terminators."""
