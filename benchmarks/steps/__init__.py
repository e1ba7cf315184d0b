"""Whole training steps, chainrule against PyTorch and JAX: `python -m benchmarks.steps`.

Every framework runs in a process of its own, gets the same weights and the same batch, and must compute the same losses
in the first five steps. Then they are measured in turn in short bursts; who is not measured is stopped.
"""
