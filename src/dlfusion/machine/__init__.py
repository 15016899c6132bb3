"""Devices as numbers, and what can be found out about the one we run on."""

from dlfusion.machine.accelerator import Accelerator
from dlfusion.machine.architecture import AARCH64, X86_64, host_architecture
from dlfusion.machine.cpu import Cpu
from dlfusion.machine.files import load_machine, machine_files
from dlfusion.machine.host import host
from dlfusion.machine.machine import Machine

__all__ = [
    "AARCH64",
    "X86_64",
    "Accelerator",
    "Cpu",
    "Machine",
    "host",
    "host_architecture",
    "load_machine",
    "machine_files",
]
