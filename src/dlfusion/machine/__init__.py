"""Devices as numbers, and what can be found out about the one we run on."""

from dlfusion.machine.host import host
from dlfusion.machine.machine import Machine

__all__ = ["Machine", "host"]
