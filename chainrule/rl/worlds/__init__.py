"""Small worlds to learn in."""
