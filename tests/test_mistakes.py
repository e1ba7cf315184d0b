"""Each usual mistake raises the right class of error, with a message that names the facts and the mend."""

from pathlib import Path

import pytest

import chainrule
from tests.mistakes import MISTAKES, Mistake, page


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
def test_mistake_is_explained(mistake: Mistake) -> None:
    with pytest.raises(mistake.error) as caught:
        mistake.make()
    for part in mistake.says:
        assert part in str(caught.value)
    assert isinstance(caught.value, chainrule.ChainruleError | ValueError | Warning)


def test_there_are_at_least_twenty() -> None:
    assert len(MISTAKES) >= 20


def test_page_is_up_to_date() -> None:
    written = Path(__file__).parents[1] / "docs" / "errors.md"
    assert written.read_text(encoding="utf-8") == page(), "make it again: python -m tests.mistakes"
