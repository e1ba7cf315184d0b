"""Benchmarks: chainrule beside its peers in the same run."""
