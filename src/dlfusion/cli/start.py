"""Where the `dlfusion` program begins: nothing is imported yet, so that Ctrl-C is told alike while packages load."""

import sys

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells expect
INTERRUPTED = "interrupted; nothing was left half-written"


def main() -> None:
    """Run the command that the arguments name; the process exits with its status."""
    try:
        from dlfusion.cli.main import main as run
    except KeyboardInterrupt:
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.exit(EXIT_INTERRUPTED)
    run()
