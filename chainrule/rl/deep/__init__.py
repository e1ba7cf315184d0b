"""Agents with networks: one file for each, from DQN to SAC, and one loop for all of them."""
