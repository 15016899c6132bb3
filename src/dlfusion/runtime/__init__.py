"""From a program to results: build, cache, load, run, check, measure."""
