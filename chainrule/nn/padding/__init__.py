"""Padding: what stands around the edges."""
