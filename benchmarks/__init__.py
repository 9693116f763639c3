"""Benchmarks: ours against the peer in one run."""
