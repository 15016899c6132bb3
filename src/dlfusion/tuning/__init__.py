"""Measuring on devices, and remembering what was measured."""
