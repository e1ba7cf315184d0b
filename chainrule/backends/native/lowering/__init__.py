"""From the graph to groups: how values lie, and what is computed together. Nothing here knows of threads."""
