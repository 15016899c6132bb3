"""Devices as numbers, and what can be found out about the one we run on."""
