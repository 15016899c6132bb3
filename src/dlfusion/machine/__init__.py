"""Devices as numbers, and what can be found out about the one we run on."""

from dlfusion.machine.accelerator import Accelerator
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.files import load_machine, machine_files
from dlfusion.machine.host import host
from dlfusion.machine.machine import Machine

__all__ = ["Accelerator", "Cpu", "Machine", "host", "load_machine", "machine_files"]
