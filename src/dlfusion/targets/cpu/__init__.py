"""The CPU target: C++ for several cores, with a kernel library of its own."""
