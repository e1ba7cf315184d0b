"""`chainrule summary`: a network layer by layer, with shapes, parameters, operations, memory and receptive fields."""

from __future__ import annotations

import inspect
import sys
from typing import Annotated

import typer

from chainrule.cli.values import parse_changes


def summary(
    model: Annotated[str, typer.Argument(help="A network of the registry, such as [bold]resnet18[/].")],
    size: Annotated[
        str | None, typer.Option(help="The shape of one sample, such as 3x224x224; otherwise the network's own.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="How many samples a batch has.")] = 1,
    set_options: Annotated[
        list[str] | None, typer.Option("--set", help="An option of the network: num_classes=10; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show what each layer of a network makes, learns, costs and sees. Nothing is computed but shapes.

    [bold]Examples[/]

      chainrule summary lenet5
      chainrule summary resnet18 --size 3x64x64 --batch 8
      chainrule summary decoder --set vocabulary=65
    """
    from rich.console import Console

    from chainrule.explain.summary import summary as summarise
    from chainrule.models.registry import create, find
    from chainrule.nn.init import skip_filling

    entry = find(model)
    options = parse_changes(set_options or [])
    missing = [n for n, default in entry.options.items() if default is inspect.Parameter.empty and n not in options]
    if missing:
        raise ValueError(f"{model} needs {' and '.join(f'--set {name}=…' for name in missing)}.")
    sample = entry.input if size is None else shape_of(size)
    with skip_filling():
        network = create(model, **options)
    sizes = [sample, sample] if "pairs" in entry.data else [sample]
    found = summarise(network, size=sizes, batch=batch, dtype="int64" if entry.reads_tokens else "float32")
    if as_json:
        typer.echo(found.json())
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(found)
    return 0


def shape_of(text: str) -> tuple[int, ...]:
    """The numbers of 3x224x224."""
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.isdecimal() and int(part) for part in parts):
        raise ValueError(f"--size is whole numbers with x between them, such as 3x224x224, got {text!r}.")
    return tuple(map(int, parts))
