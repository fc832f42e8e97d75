"""Benchmarks distill-run and other implementations; `scripts/bench` runs them."""
