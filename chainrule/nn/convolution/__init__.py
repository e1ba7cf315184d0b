"""Convolutions, their transposes and matrices, and how much of the input they see."""
