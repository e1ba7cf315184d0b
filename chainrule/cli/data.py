"""`chainrule data`: which data sets there are, and what is in one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer


def data(
    name: Annotated[
        str | None, typer.Argument(help="A known data set, a table, a text, or a folder of images.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(envvar="CHAINRULE_DATA", help="The folder with known data's files.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="Tables: the column that is to be predicted.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="As for train; may be repeated.")
    ] = None,
) -> int:
    """List the known data sets; or describe one, getting it from its published address if it is nowhere.

    [bold]Examples[/]

      chainrule data
      chainrule data mnist
      chainrule data houses.csv --target price
    """
    import rich.console

    console = rich.console.Console()
    if name is None:
        _list(data_root, console)
        return 0
    from chainrule.cli.values import parse_changes
    from chainrule.tasks import Settings, load_task

    root = None if data_root is None else str(data_root)
    settings = Settings(data=name, data_root=root, target=target).with_set(**parse_changes(set_ or []))
    task, parts = load_task(settings)
    rows: list[tuple[str, Any]] = [("kind", task.kind)]
    rows += [(part, f"{len(samples):,} {task.samples}") for part, samples in parts._asdict().items()]
    rows += [(key, _shown(value)) for key, value in task.facts.items()]
    _table(("", ""), [(a, str(b)) for a, b in rows], console)
    return 0


def _list(root: Path | None, console: Any) -> None:
    from chainrule.data import load, names
    from chainrule.errors import DataError

    rows = []
    for name in names():
        try:
            found = load(name, root=root, download=False)
            rows.append((name, f"{len(found.train) + len(found.validation):,}", f"{len(found.test):,}", "here"))
        except DataError:
            rows.append((name, "", "", "would be downloaded"))
    _table(("name", "to learn from", "to test on", ""), rows, console)


def _table(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]], console: Any) -> None:
    import rich.table

    table = rich.table.Table(box=None, header_style="bold", show_header=any(heading))
    for title in heading:
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) > 12:
        return f"{_shown(value[:12])[:-1]}, … ({len(value)} in all)]"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(x) for x in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
