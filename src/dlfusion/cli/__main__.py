"""Makes `python -m dlfusion.cli` the same as `dlfusion`."""

from dlfusion.cli.main import main

main()
