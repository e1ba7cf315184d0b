"""A table shown three ways: in the terminal, as plain text, in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

#: A frame of a notebook is light or dark; the table takes its colours.
_STYLE = (
    "<style>.chainrule-table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    ".chainrule-table td,.chainrule-table th{border-bottom:1px solid #8885;padding:.2rem .7rem;text-align:right}"
    ".chainrule-table .words{text-align:left}.chainrule-table caption{text-align:left;font-weight:bold}</style>"
)


class TextTable:
    """Rows of words and numbers with a title; columns of numbers stand to the right.

    >>> print(TextTable("squares", ["x", "x²"], [["two", "4"]], words=1))
    <BLANKLINE>
     squares
    <BLANKLINE>
      x     x²
     ──────────
      two    4
    <BLANKLINE>

    Args:
        title: above it.
        columns: the headings.
        rows: cells as text.
        words: so many columns from the left are words.
        foot: a row of totals.
        notes: lines below.
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        words: int = 2,
        foot: Sequence[str] = (),
        notes: Sequence[str] = (),
    ) -> None:
        self.title, self.columns, self.rows = title, list(columns), [list(row) for row in rows]
        self.words, self.foot, self.notes = words, list(foot), list(notes)

    def rich(self) -> Table:
        """For rich's console."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self.title, title_justify="left", box=box.SIMPLE, show_footer=bool(self.foot))
        foot = self.foot or [""] * len(self.columns)
        for i, (heading, total) in enumerate(zip(self.columns, foot, strict=True)):
            table.add_column(heading, Text(total), justify="left" if i < self.words else "right", no_wrap=True)
        for row in self.rows:
            table.add_row(*map(Text, row))
        table.caption, table.caption_justify = "\n".join(self.notes) or None, "left"
        return table

    def __str__(self) -> str:
        return as_text(self.rich())

    def __rich__(self) -> Table:
        return self.rich()

    def html(self) -> str:
        """For a notebook: one element, without scripts."""
        head = self._row(self.columns, "th")
        body = "".join(self._row(row, "td") for row in self.rows)
        foot = f"<tfoot>{self._row(self.foot, 'th')}</tfoot>" if self.foot else ""
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return (
            f'<div>{_STYLE}<table class="chainrule-table"><caption>{html.escape(self.title)}</caption>'
            f"<thead>{head}</thead><tbody>{body}</tbody>{foot}</table>{notes}</div>"
        )

    def _row(self, cells: Sequence[str], kind: str) -> str:
        parts = []
        for i, cell in enumerate(cells):
            words = ' class="words"' if i < self.words else ""
            parts.append(f"<{kind}{words}>{html.escape(cell)}</{kind}>")
        return f"<tr>{''.join(parts)}</tr>"


def as_text(shown: Any, width: int = 160) -> str:
    r"""What rich would print, without colours.

    >>> as_text("[bold]a[/]")
    'a\n'
    """
    from rich.console import Console

    console = Console(width=width, color_system=None, force_jupyter=False)
    with console.capture() as captured:
        console.print(shown)
    lines = [line.rstrip() for line in captured.get().split("\n")]
    return "\n".join(lines)


def short(number: float | None, unit: str = "") -> str:
    """Three digits and a prefix: 3.63 G; nothing for None.

    >>> short(3_628_146_688), short(61_706), short(7), short(None)
    ('3.63 G', '61.7 k', '7', '')
    """
    if number is None:
        return ""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}".rstrip()


class Tabular:
    """What is shown as one table wherever it is shown: printed, in the terminal, in a notebook."""

    def table(self) -> TextTable:
        """The table; a subclass makes it."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.table())

    def __rich__(self) -> Table:
        return self.table().rich()

    def _repr_html_(self) -> str:
        return self.table().html()
