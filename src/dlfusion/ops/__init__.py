"""What operators mean: one operator, one file, found by its name."""
