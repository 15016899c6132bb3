"""Predictions of how long a block takes, in seconds, with their assumptions listed."""
