"""Where the real data for tests lies, and what a test says where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def real_data(*names: str) -> Path:
    """The folder with these files: `CHAINRULE_DATA`, else `../shared/data` beside the project. Skips without them."""
    folder = Path(os.environ.get("CHAINRULE_DATA") or Path(__file__).parents[2] / "shared" / "data")
    for name in names:
        if not (folder / name).exists():
            pytest.skip(f"{folder / name} is not here; CHAINRULE_DATA may name another folder")
    return folder
