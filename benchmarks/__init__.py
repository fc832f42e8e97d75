"""Benchmarks of distill-run and of its peers: `scripts/bench`."""
