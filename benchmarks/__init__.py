"""Benchmarks of distill-run and of other implementations, run by `scripts/bench`."""
