"""`chainrule models`: which networks and agents there are, what they cost and what can be chosen about them."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any

import typer


def models(
    name: Annotated[str | None, typer.Argument(help="One of them, for its options.")] = None,
    task: Annotated[str | None, typer.Option(help="Only those for one task, such as [bold]segmentation[/].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """List the networks and agents with parameters, operations, input and paper; or describe one.

    FLOPs are of one sample of the shape that stands under input, two for each multiplication with its addition.

    [bold]Examples[/]

      chainrule models
      chainrule models --task segmentation
      chainrule models resnet18
    """
    from chainrule.models.registry import entries, find
    from chainrule.rl.deep.recipes import agent_entries

    agents = agent_entries()
    entry: Any = None if name is None else agents.get(name) or find(name)
    known: list[Any] = [*entries().values(), *agents.values()] if entry is None else [entry]
    rows = [_row(each) for each in known if entry is not None or task in (None, each.task)]
    if not rows:
        tasks = sorted({each.task for each in known})
        raise ValueError(f"no model is for the task {task!r}; there are {', '.join(tasks)}.")
    if as_json:
        typer.echo(json.dumps(rows if entry is None else rows[0], indent=2))
    elif entry is None:
        _print_list(rows)
    else:
        _print_one(rows[0], entry.options)
    return 0


def _row(entry: Any) -> dict[str, Any]:
    """One line of the list. A network that needs options (a vocabulary) costs nothing that could be said."""
    from chainrule.models.cost import cost_of

    needs = any(default is inspect.Parameter.empty for default in entry.options.values())
    cost = None if needs or not entry.input else cost_of(entry)
    return {
        "name": entry.name, "task": entry.task, "data": list(entry.data),
        "parameters": cost and cost.parameters, "flops": cost and cost.flops,
        "input": list(entry.input), "paper": entry.paper,
    }  # fmt: skip


def _print_list(rows: list[dict[str, Any]]) -> None:
    import rich.console
    import rich.table

    console = rich.console.Console()
    for task in dict.fromkeys(row["task"] for row in rows):
        table = rich.table.Table(box=None, header_style="bold", title=task, title_justify="left")
        for title in ("name", "parameters", "FLOPs", "input", "paper"):
            table.add_column(title, justify="right" if title in ("parameters", "FLOPs") else "left")
        for row in rows:
            if row["task"] == task:
                shape = "×".join(map(str, row["input"]))
                table.add_row(row["name"], _number(row["parameters"]), _short(row["flops"]), shape, row["paper"])
        console.print(table, markup=False, crop=False, no_wrap=True)
        console.print()


def _print_one(row: dict[str, Any], options: dict[str, Any]) -> None:
    typer.echo(f"{row['name']}  ({row['task']}; {row['paper']})")
    typer.echo(f"learns from  {', '.join(row['data'])}")
    if row["input"]:
        typer.echo(f"input        {' × '.join(map(str, row['input']))}")
    if row["parameters"] is not None:
        typer.echo(f"parameters   {_number(row['parameters'])}")
        typer.echo(f"FLOPs        {_number(row['flops'])}")
    typer.echo("options      " + (", ".join(_option(*option) for option in options.items()) or "none"))


def _option(name: str, default: Any) -> str:
    return f"{name} (must be given)" if default is inspect.Parameter.empty else f"{name}={default!r}"


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _short(value: int | None) -> str:
    """Three digits and a unit: 3.63 G."""
    if value is None:
        return ""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)
