"""`chainrule export`: what was trained, in a form that other programs take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.values import names_run, parse_changes


def export(
    what: Annotated[str, typer.Argument(help="A run's folder, or a network of the registry.")],
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="[bold]program[/]: graph and weights for chainrule.load_program; [bold]safetensors[/]: the weights; "
            "[bold]onnx[/]: ONNX's operators, for other programs; "
            "[bold]c-library[/]: a folder with a header, a static library and an example in C.",
        ),
    ] = "program",
    output: Annotated[
        Path | None, typer.Option(help="Where to. [dim]default: model.… in the run's folder, or MODEL.…[/]")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Only for batches of so many samples. [dim]default: any; in C 1[/]")
    ] = None,
    size: Annotated[str | None, typer.Option(help="Networks: the shape of one sample, such as 3x224x224.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Networks: a file with their weights. [dim]default: the first ones[/]")
    ] = None,
    set_options: Annotated[
        list[str] | None, typer.Option("--set", help="Networks: an option, num_classes=10; may be repeated.")
    ] = None,
) -> int:
    """Write a trained model, or a network of the registry, in a form that leaves the framework.

    The model is taken in evaluation mode. A run's inputs are what its network sees: images standardised by the mean and
    the deviation in its facts.json, tables likewise, texts as whole numbers; a program says so itself (`about`).

    [bold]Examples[/]

      chainrule export runs/digits
      chainrule export runs/digits --format safetensors --output digits.safetensors
      chainrule export runs/digits --format c-library --output digits-in-c
      chainrule export resnet18 --size 3x64x64 --weights best.safetensors
    """
    from chainrule.cli.summary import shape_of
    from chainrule.tasks.exporting import find_format, leaving_network, leaving_run

    chosen = find_format(format)
    batch = 1 if chosen.fixed and batch is None else batch
    is_run = names_run(what)
    if is_run:
        if size or weights or set_options:
            raise ValueError("--size, --weights and --set are for networks of the registry; a run has its own.")
        leaving = leaving_run(what, batch)
    else:
        shape = None if size is None else shape_of(size)
        leaving = leaving_network(what, parse_changes(set_options or []), shape, batch, weights)
    path = output or (Path(what) / f"model{chosen.ending}" if is_run else Path(f"{what}{chosen.ending}"))
    chosen.write(leaving, path)
    typer.echo(f"{leaving.name}, {chosen.what}: {path}")
    return 0
