"""`chainrule tune`: many runs with different settings, and what was best."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli.options import chosen_settings, with_settings
from chainrule.cli.values import parse_changes, parse_domains
from chainrule.tasks.settings import Settings, read_settings


@with_settings("model", "data", "data_root", "target", "epochs", headings=False)
def tune(
    *,
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=RANGE",
            help="What may change: [bold]lr=1e-4..1e-1:log[/], [bold]width=16..64[/], [bold]optimizer=adam,sgd[/]; may "
            "be repeated.",
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any setting that stays as it is; may be repeated."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings from a TOML file or a run's folder.")] = None,
    trials: Annotated[int, typer.Option(min=1, help="How many in all.")] = 30,
    method: Annotated[
        str,
        typer.Option(help="[bold]tpe[/] or [bold]gp[/] (both Bayesian), [bold]random[/], [bold]grid[/]."),
    ] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(
            help="What ends hopeless trials: [bold]median[/], [bold]halving[/], [bold]hyperband[/], [bold]none[/]."
        ),
    ] = "median",
    workers: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the search.")] = 0,
    output: Annotated[Path, typer.Option(help="The search's folder: a search that is there already goes on.")] = Path(
        "runs/search"
    ),
    **given: Any,
) -> int:
    r"""Look for the settings with the least validation loss.

    Everything is written down in the folder as it happens: the same command goes on where it was interrupted.
    Needs the extra: pip install 'chainrule\[search]'.

    [bold]Examples[/]

      chainrule tune lenet5 --epochs 5 --vary lr=1e-4..1e-2:log --vary batch_size=16,32,64
      chainrule tune --data houses.csv --target price --vary hidden=32,64 --vary lr=1e-4..1e-1:log --workers 2
    """
    import rich.console

    from chainrule.tasks.search import search, write_search

    settings = Settings() if config is None else read_settings(config)
    settings = settings.changed(**chosen_settings(given))
    settings = settings.with_set(**parse_changes(set_ or []))
    console = rich.console.Console()
    found = search(
        settings, parse_domains(vary), output, trials=trials, method=method, pruner=pruner, workers=workers, seed=seed
    )
    write_search(found, output)
    _print(found, console)
    console.print(f"Search: {output}", markup=False, highlight=False, soft_wrap=True)
    return 0


def _print(found: Any, console: Any) -> None:
    import rich.table

    finished = sorted((t for t in found.trials() if t["state"] == "complete"), key=lambda t: t["value"])
    names = [name for name in (finished[0] if finished else {}) if name not in ("number", "state", "value")]
    table = rich.table.Table(box=None, header_style="bold", title=f"The best of {len(found.trials())} trials")
    for name in ("trial", "validation loss", *names):
        table.add_column(name)
    for trial in finished[:10]:
        table.add_row(str(trial["number"]), f"{trial['value']:.6g}", *(_shown(trial.get(name)) for name in names))
    console.print(table)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in found.importance().items())
    if shares:
        console.print(f"What mattered: {shares}", highlight=False)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
