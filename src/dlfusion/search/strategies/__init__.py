"""One strategy per file; the file's name is the strategy's name."""
