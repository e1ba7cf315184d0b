"""The methods of a tensor: the functions by another way to call them, and what only methods do."""
