"""Losses: one number that says how wrong a prediction is."""
