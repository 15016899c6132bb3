"""Devices that programs are generated for, one package each; targets do not know each other."""
