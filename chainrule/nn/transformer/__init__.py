"""Transformers: positions, layers of attention and networks, stacks of them."""
