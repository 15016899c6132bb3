"""The model as data, and a builder for it."""
