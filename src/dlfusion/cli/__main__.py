"""Makes `python -m dlfusion.cli` the same as `dlfusion`."""

from dlfusion.cli.start import main

main()
