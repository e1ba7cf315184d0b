"""What holds for the examples in docstrings, which lie outside `tests`."""

import tempfile

import pytest


@pytest.fixture(autouse=True)
def temporary_files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example writes into a folder of `tempfile` lies where pytest clears up."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setattr(tempfile, "tempdir", str(request.getfixturevalue("tmp_path")))
