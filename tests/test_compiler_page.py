"""docs/compiler.md shows what the compiler makes today."""

from __future__ import annotations

import re

from docs.make import compiler as page


def without_assembly(text: str) -> str:
    """All but the processor's instructions, which are up to LLVM's version."""
    return re.sub(r"```asm\n.*?```", "```asm\n```", text, flags=re.S)


def test_the_page_is_up_to_date() -> None:
    written = page.PAGE.read_text(encoding="utf-8")
    assert without_assembly(page.page()) == without_assembly(written), "run: python -m docs.make.compiler"
    assert "```asm" in written
