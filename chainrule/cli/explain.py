"""`chainrule explain`: a run or a network laid open, as a page to look around in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.values import names_run, parse_changes

#: What an explanation is written as, by the ending of the file.
FORMATS = (".html", ".svg", ".json", ".dot", ".onnx")


def explain(
    what: Annotated[str, typer.Argument(metavar="RUN|MODEL", help="A run's folder, or a network of the registry.")],
    input: Annotated[
        str | None,
        typer.Option(
            help="What it is shown: for a run what [bold]predict[/] takes; for a network an image or a .npy file."
        ),
    ] = None,
    size: Annotated[str | None, typer.Option(help="Networks: the shape of the sample, such as 3x64x64.")] = None,
    set_options: Annotated[
        list[str] | None, typer.Option("--set", help="Networks: an option, num_classes=10; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where to write it: a page, or by its ending .svg, .json, .dot, .onnx. "
            "[dim]default: explained.html in the run, MODEL.html[/]"
        ),
    ] = None,
    open_it: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    data_root: Annotated[str | None, typer.Option(help="Runs: where known data are now.")] = None,
) -> int:
    """Lay a network open on one sample: every operation with its numbers, forward and backward, in one HTML file.

    A run is shown on a sample of its validation data, with the loss, or on the input that is given. A network has its
    first weights, and the gradients are those of its largest score.

    [bold]Examples[/]

      chainrule explain runs/digits --open
      chainrule explain runs/digits --input seven.png
      chainrule explain resnet18 --size 3x64x64
      chainrule explain lenet5 --input seven.png --output lenet5.svg
    """
    from chainrule.cli.summary import shape_of
    from chainrule.tasks.explained import explain_model, explain_run

    is_run = names_run(what)
    file = output or (Path(what) / "explained.html" if is_run else Path(f"{what}.html"))
    ending = file.suffix.lower()
    if ending not in FORMATS:
        raise ValueError(f"--output ends with one of {', '.join(FORMATS)}, got {file.name}.")
    if is_run and (size or set_options):
        raise ValueError("--size and --set are for networks of the registry; a run has its own.")
    if is_run:
        found = explain_run(what, input, data_root)
    else:
        found = explain_model(what, None if size is None else shape_of(size), parse_changes(set_options or []), input)
    getattr(found, ending[1:])(file)
    typer.echo(f"{found.title}: {len(found):,} operations, {file}")
    if found.failure is not None:
        raise ValueError(f"the forward pass failed, as {file.name} shows: {found.failure.error}")
    if open_it:
        import webbrowser

        webbrowser.open(file.resolve().as_uri())
    return 0
