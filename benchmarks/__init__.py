"""Scripts that measure: the demo, the table of the README, and the kernels one by one."""
