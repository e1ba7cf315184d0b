"""docs/doctor.md says what the rules say today, and its example prints what it shows."""

from __future__ import annotations

import re

from chainrule.train.doctor.conditions import RULES
from docs.make import doctor as page


def test_the_page_is_up_to_date() -> None:
    assert page.page() == page.PAGE.read_text(encoding="utf-8"), "run: python -m docs.make.doctor"


def test_every_condition_has_its_place() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    headings = [title for title in re.findall(r"^### (.*)$", text, re.M)]
    assert headings == [rule.condition for rule in RULES]
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings]
    assert re.findall(r"\]\(#(.*)\) \|", text) == anchors
    assert text.count("**How it is found.**") == text.count("**Likely cause.**") == len(RULES)
