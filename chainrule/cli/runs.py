"""`chainrule evaluate`, `predict` and `doctor`: what is done with a run that was trained."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

RunFolder = Annotated[Path, typer.Argument(help="The run's folder.")]


def evaluate(
    run: RunFolder,
    part: Annotated[
        str, typer.Option(help="Which part of the data: [bold]train[/], [bold]validation[/] or [bold]test[/].")
    ] = "test",
    data_root: Annotated[
        Path | None, typer.Option(envvar="CHAINRULE_DATA", help="The folder with known data's files.")
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(envvar="CHAINRULE_DEVICE", help="Where it is computed. [dim]default: where the run learned[/]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Measure a trained model: loss and metrics on a part of its data, with the weights of the best epoch.

    An agent plays 100 new episodes, with the networks that played best.

    [bold]Example[/]

      chainrule evaluate runs/mine --part validation
    """
    from chainrule.rl.deep.run import evaluate_agent_run, is_agent_run
    from chainrule.tasks.run import evaluate_run

    if is_agent_run(run):
        if part != "test":
            raise ValueError(f"--part is not for agents: {run} has no data that could be {part}; its agent plays.")
        figures = evaluate_agent_run(run)
    else:
        figures = evaluate_run(run, part, None if data_root is None else str(data_root), device)
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        for name, value in figures.items():
            typer.echo(f"{part} {name.replace('_', ' ')}  {value:.6g}")
    return 0


def predict(
    run: RunFolder,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Image files or folders of them; tables (.csv, .parquet); beginnings of texts; texts to translate or "
            "to classify, or .txt files with one in each line."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write to a .csv or .json file. [dim]default: a table on the terminal[/]")
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="Texts: characters to write.")] = 400,
    temperature: Annotated[float, typer.Option(min=0.0, help="Texts: 0 takes the likeliest each time.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(min=1, help="Texts: only among the k likeliest.")] = None,
    beams: Annotated[int, typer.Option(min=1, help="Translation: how many answers are kept side by side.")] = 1,
    masks: Annotated[
        Path | None,
        typer.Option(help="Segmentation, autoencoders: a folder for what comes out, an image file for each."),
    ] = None,
) -> int:
    """Let a trained model answer: classes of images and texts, values for rows of a table, texts that go on or answer.

    [bold]Examples[/]

      chainrule predict runs/digits seven.png photos/
      chainrule predict runs/houses new.csv --output prices.csv
      chainrule predict runs/shakespeare "ROMEO:" --length 200
      chainrule predict runs/dates "Friday, 05 May 1989" --beams 4
      chainrule predict runs/cells photos/ --masks found/
    """
    from chainrule.tasks.run import open_run

    opened = open_run(run)
    text = opened.task.kind == "text"
    if not inputs and not text:
        raise ValueError(f"what is to be predicted? Give files: {run} was trained on {opened.task.samples}.")
    options = (
        {"length": length, "temperature": temperature, "top_k": top_k} if text else {"masks": masks, "beams": beams}
    )
    if masks is not None and opened.task.kind not in ("segmentation", "pixels", "reconstruction"):
        raise ValueError(f"--masks is for segmentation and autoencoders; {run} does neither.")
    rows = opened.task.predict(opened.model, inputs or [""], **options)
    if output is not None:
        _write(rows, output)
        typer.echo(f"{len(rows):,} predictions: {output}")
    elif text:
        typer.echo("\n\n".join(row["text"] for row in rows))
    else:
        _print_table(rows)
    return 0


def doctor(
    run: RunFolder, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> int:  # fmt: skip
    """Say what went wrong in a run: each finding with what shows it, its likely cause, and what to try.

    Exit code: 0 if nothing was found, 1 if something was.
    """
    import rich.console

    from chainrule.train import diagnose, format_findings

    findings = diagnose(run)
    if as_json:
        typer.echo(json.dumps([finding.to_json() for finding in findings], indent=2))
    else:
        rich.console.Console().print(format_findings(findings))
    return 1 if findings else 0


def _print_table(rows: list[dict[str, Any]]) -> None:
    """As a table on a terminal, as CSV elsewhere."""
    import rich.console
    import rich.table

    console = rich.console.Console()
    if not console.is_terminal:
        _write_csv(rows, sys.stdout)
        return
    table = rich.table.Table(box=None, header_style="bold")
    for name in rows[0] if rows else []:
        table.add_column(name)
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    console.print(table)


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    from chainrule.files import write_atomically

    def write(temporary: Path) -> None:
        with open(temporary, "w", encoding="utf-8", newline="") as file:
            if path.suffix == ".json":
                json.dump(rows, file, indent=2)
            else:
                _write_csv(rows, file)

    write_atomically(path, write)


def _write_csv(rows: list[dict[str, Any]], file: Any) -> None:
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
