"""Findings to be read: in the terminal, as Markdown, and as a file that keeps them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chainrule.errors import DataError
from chainrule.files import write_text
from chainrule.train.doctor.finding import SEVERITIES, Finding

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.panel import Panel

NOTHING = "Nothing wrong was found."
_STYLES = {"note": "cyan", "warning": "yellow", "fault": "red"}


def format_findings(findings: Sequence[Finding], markdown: bool = False) -> Group | str:
    """Findings, the worst first: something for Rich to print, or Markdown.

    >>> finding = Finding("overfitting", "warning", "Validation is best in epoch 4.", "Too large.", ("dropout",), 9)
    >>> print(format_findings([finding], markdown=True))
    ### overfitting (warning, epoch 9)
    <BLANKLINE>
    Validation is best in epoch 4.
    <BLANKLINE>
    Likely cause: Too large.
    <BLANKLINE>
    Try:
    - dropout
    """
    from rich.console import Group

    ordered = sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))
    if markdown:
        return "\n\n".join(_as_markdown(finding) for finding in ordered) or NOTHING
    return Group(*(_as_panel(finding) for finding in ordered)) if ordered else Group(NOTHING)


def print_finding(finding: Finding, console: Console | None = None) -> None:
    """Print one, to the console given or to Rich's own."""
    from rich.console import Console

    (console or Console()).print(_as_panel(finding))


def _as_markdown(finding: Finding) -> str:
    parts = [f"### {finding.condition} ({finding.severity}, {finding.when()})", finding.evidence]
    parts += [f"Where: {finding.where('`')}"] if finding.paths else []
    parts += [f"Likely cause: {finding.cause}", "Try:\n" + "\n".join(f"- {remedy}" for remedy in finding.remedies)]
    return "\n\n".join(parts)


def _as_panel(finding: Finding) -> Panel:
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    details = Table.grid(padding=(0, 2))
    details.add_column(style="bold")
    if finding.paths:
        details.add_row("where", Text(finding.where()))
    details.add_row("cause", Text(finding.cause))
    for i, remedy in enumerate(finding.remedies):
        details.add_row("" if i else "try", Text(remedy))
    text = Group(Text(finding.evidence), details)
    title = f"{finding.condition} · {finding.severity} · {finding.when()}"
    return Panel(text, title=title, title_align="left", border_style=_STYLES[finding.severity])


def write_findings(findings: Sequence[Finding], path: str | Path) -> None:
    """Write them to a JSON file, which is whole at every moment."""
    text = json.dumps([finding.to_json() for finding in findings], indent=2, ensure_ascii=False) + "\n"
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def read_findings(path: str | Path) -> list[Finding]:
    """What `write_findings` wrote. Raises DataError for a file that is none.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "doctor.json"
    >>> write_findings([Finding("leakage", "fault", "2 of 9", "duplicates", ())], path)
    >>> read_findings(path)[0].condition
    'leakage'
    """
    try:
        return [Finding.from_json(saved) for saved in json.loads(Path(path).read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} is no file of findings, as a Doctor writes it: {error}.") from error
