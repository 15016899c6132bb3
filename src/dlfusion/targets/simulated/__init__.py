"""Simulated accelerators: a machine file and a simulator stand for the device."""
