"""The command `chainrule`."""

from chainrule.cli.main import main

__all__ = ["main"]
