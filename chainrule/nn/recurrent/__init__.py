"""Recurrent networks: a state carried along sequences."""
