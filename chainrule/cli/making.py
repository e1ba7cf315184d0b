"""`chainrule sample` and `chainrule attack`: images from a generative model, and images that fool a classifier."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

import typer

from chainrule.cli.runs import RunFolder
from chainrule.cli.values import parse_changes


def sample(
    run: RunFolder,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="How many images.")] = 64,
    label: Annotated[
        int | None,
        typer.Option(help="Only of this class, where the model was told classes. [dim]default: all in turn[/]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same images.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="The picture, a .png file. [dim]default: samples.png in the run's folder[/]")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="How it is drawn: ddpm has steps, eta and guidance, realnvp temperature; may be repeated.",
        ),
    ] = None,
) -> int:
    """Draw images with a generative model that was trained: one picture of all, side by side.

    [bold]Examples[/]

      chainrule train dcgan --data digits --output runs/mine && chainrule sample runs/mine
      chainrule sample runs/ddpm --count 16 --label 3 --set guidance=2 --output threes.png
    """
    from chainrule.rl.deep.run import is_agent_run
    from chainrule.tasks.generation import GenerationTask
    from chainrule.tasks.making import write_grid
    from chainrule.tasks.run import open_run

    if is_agent_run(run):
        raise ValueError(f"{run} holds an agent, which draws nothing; watch it: chainrule play {run}.")
    opened = open_run(run)
    if not isinstance(opened.task, GenerationTask):
        raise ValueError(f"{run} holds no generative model but {opened.task.settings.model}, which draws nothing.")
    path = run / "samples.png" if output is None else output
    if path.suffix.lower() != ".png":
        raise ValueError(f"--output: the picture is a .png file, got {path}.")
    model = opened.task.as_maker(opened.model)
    write_grid(opened.task.draw(model, count, label, seed, **parse_changes(set_ or [])), path)
    typer.echo(f"{count} images: {path}")
    return 0


def attack(
    run: RunFolder,
    method: Annotated[
        str,
        typer.Option(
            help="[bold]fgsm[/] (one step), [bold]pgd[/], [bold]square[/] (without gradients) or "
            "[bold]deep_fool[/] (as little as needed)."
        ),
    ] = "pgd",
    epsilon: Annotated[
        list[float] | None,
        typer.Option(help="The largest change of a pixel, which lies in 0 … 1; may be repeated. [dim]default: 0.3[/]"),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of pgd and deep_fool; the tries of square. [dim]default: 40; 1000[/]")
    ] = None,
    restarts: Annotated[int, typer.Option(min=1, help="Of pgd; the best of all counts.")] = 1,
    norm: Annotated[
        str, typer.Option(help="Of pgd: [bold]inf[/], or [bold]2[/] (epsilon is then the length of the whole change).")
    ] = "inf",
    count: Annotated[int, typer.Option(min=1, help="So many of the test images, the first ones.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the random starts and squares.")] = 0,
    picture: Annotated[
        Path | None, typer.Option(help="A .png file: originals, attacked images, differences (grey is none).")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(envvar="CHAINRULE_DATA", help="The folder with known data's files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Attack a trained classifier of images, and say how much of its accuracy is left.

    [bold]Examples[/]

      chainrule attack runs/mine --method pgd --epsilon 0.3
      chainrule attack runs/mine --epsilon 0.1 --epsilon 0.2 --picture fooled.png
    """
    from chainrule.rl.deep.run import is_agent_run
    from chainrule.tasks.attacking import attack_run

    if is_agent_run(run):
        raise ValueError(f"{run} holds an agent, not a classifier of images.")
    if norm not in ("inf", "2"):
        raise ValueError(f"--norm is inf or 2, got {norm}.")
    if picture is not None and picture.suffix.lower() != ".png":
        raise ValueError(f"--picture is a .png file, got {picture}.")
    clean, rows = attack_run(
        run, method, epsilon or [0.3], steps=steps, restarts=restarts, norm=2 if norm == "2" else math.inf, count=count,
        seed=seed, picture=picture, data_root=None if data_root is None else str(data_root),
    )  # fmt: skip
    if as_json:
        found = [{**row._asdict(), "epsilon": None if math.isnan(row.epsilon) else row.epsilon} for row in rows]
        typer.echo(json.dumps({"clean": clean, "attacked": found}))
        return 0
    typer.echo(f"clean          accuracy {clean:.4f}")
    for row in rows:
        name = "smallest" if math.isnan(row.epsilon) else f"epsilon {row.epsilon:g}"
        typer.echo(f"{name:<14} accuracy {row.accuracy:.4f}, mean length of the changes {row.change:.3f}")
    if picture is not None:
        typer.echo(f"Picture: {picture}")
    return 0
