"""Learning in tables, from experience alone: neither P nor R is looked at. One file for each idea."""
