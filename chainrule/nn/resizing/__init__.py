"""Resizing and reading at any place: images and volumes of another size."""
