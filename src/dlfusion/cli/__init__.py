"""The command line: one file per command, thin over the driver; the only package that prints."""
