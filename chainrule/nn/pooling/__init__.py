"""Pooling: windows of a feature map become single numbers, and the way back."""
