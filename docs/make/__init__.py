"""What makes the figures of the pages, each by `python -m docs.make.<name>`."""
