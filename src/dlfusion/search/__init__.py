"""Strategies: each file is one way to choose a plan, found by its name."""
