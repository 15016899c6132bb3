"""Plans as data, their legality, and the row arithmetic that everything else derives from."""
