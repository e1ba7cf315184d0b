"""`chainrule train`: a model, a data set, a progress bar, and a folder with what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli.agents import resume_an_agent, train_an_agent
from chainrule.cli.options import chosen_settings, with_settings
from chainrule.cli.values import parse_changes
from chainrule.tasks.settings import Settings, read_settings

if TYPE_CHECKING:
    from chainrule.tasks.run import Outcome, Prepared

#: Settings that are said in sentences, not in the list.
_SAID = ("data", "data_root", "model")
OUTPUT = "Output"


@with_settings()
def train(
    *,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An option of the model, [bold]--set hidden=64,64[/], or any other setting; may be repeated.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Settings from a TOML file, or those of an earlier run's folder; flags come after."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The run's folder. [dim]default: runs/<time>-<model>-<data>[/]", rich_help_panel=OUTPUT),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the run in this folder, as if it had never stopped.", rich_help_panel=OUTPUT),
    ] = None,
    hosts: Annotated[str | None, typer.Option(hidden=True)] = None,
    doctor: Annotated[
        bool, typer.Option(help="Watch training and say what goes wrong.", rich_help_panel=OUTPUT)
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the result.", rich_help_panel=OUTPUT)] = False,
    **given: Any,
) -> int:
    """Train a model and test it on data that it never saw.

    After each epoch it is measured on the validation data.
    At the end the weights of the best epoch are tested.
    Ctrl-C stops after the current step and keeps everything; --resume goes on.
    Exit code: 0; 1 if the loss becomes infinite or NaN, 2 for wrong input, 130 for Ctrl-C.

    [bold]Examples[/]

      chainrule train lenet5 --data digits
      chainrule train lenet5 --data mnist --epochs 5 --batch-size 64
      chainrule train --data cifar10 --epochs 20 --batch-size 128
      chainrule train --data houses.csv --target price
      chainrule train --data shakespeare
      chainrule train unet --data digits
      chainrule train keypoints --data faces/points.csv --size 64
      chainrule train rnn_translator --data dates
      chainrule train rnn_classifier --data reviews.csv --target stars
      chainrule train ppo --data cartpole
      chainrule train ddpm --data mnist --set conditional=true
      chainrule train mlp --optimizer sgd --lr 0.1 --set hidden=64,32 --output runs/mine
      chainrule train --resume runs/mine
      chainrule launch -n 4 -m chainrule train lenet5 --data digits

    [bold]What comes out[/], in the run's folder

      config.json       what was asked for, with every default filled in
      metrics.csv       the figures, one row for each epoch
      best.safetensors  the weights of the epoch with the least validation loss
      checkpoint-…      what --resume needs
      summary.json      the test figures
      samples/          what a generative model draws as it learns
      report.html       all of it on one page, with curves and examples
    """
    from chainrule.distributed.group import number_in_environment
    from chainrule.rl.deep.recipes import agent_names
    from chainrule.rl.deep.run import is_agent_run

    if hosts is not None:
        raise ValueError(f"--hosts: a run is not started on other machines from here. {_on_each_of(hosts)}")
    given = chosen_settings(given)
    if number_in_environment("WORLD_SIZE", 1) > 1:
        from chainrule.distributed import init_process_group

        if given.get("model") in agent_names() or (resume is not None and is_agent_run(resume)):
            raise ValueError("agents learn in one process; start this one without chainrule launch.")
        init_process_group("gloo")
    if resume is not None:
        if set(given) - {"data_root", "device"} or set_ or config or output:
            raise ValueError(f"--resume goes on with the settings of {resume}; others cannot be given with it.")
        if is_agent_run(resume):
            return resume_an_agent(resume, quiet)
        return _train(None, resume, quiet, doctor, given.get("data_root"), given.get("device"))
    if given.get("model") in agent_names() and config is None:
        return train_an_agent(given, parse_changes(set_ or []), output, quiet)
    settings = (Settings() if config is None else read_settings(config)).changed(**given)
    return _train(settings.with_set(**parse_changes(set_ or [])), output, quiet, doctor)


def _on_each_of(hosts: str) -> str:
    """How a run on several machines is started: by whoever may log in there."""
    names = [name for name in hosts.split(",") if name] or ["the first machine"]
    return (
        f"On each of {', '.join(names)}, with its number as --node-rank: chainrule launch --nodes {len(names)} "
        f"--node-rank 0 --master-addr {names[0]} -m chainrule train …"
    )


def _train(
    settings: Any, path: Path | None, quiet: bool, watch: bool, data_root: str | None = None, device: str | None = None
) -> int:
    import rich.console

    from chainrule.distributed import get_rank, is_initialized
    from chainrule.tasks.run import new_run_path, train_run
    from chainrule.train import Doctor, ProgressBar

    if is_initialized() and get_rank() > 0:  # the first process says all there is to say
        watching = Doctor(quiet=True) if watch else None
        status = train_run(settings, "", doctor=watching, data_root=data_root, device=device).status
        return {"interrupted": 130, "diverged": 1}.get(status, 0)

    console, result = rich.console.Console(quiet=quiet), rich.console.Console()
    if path is None:
        data = Path(settings.data).name.partition(".")[0]
        path = new_run_path("runs", f"{settings.model}-{data}" if settings.model else data)
    outcome = train_run(
        settings, path, [ProgressBar(console)], doctor=Doctor(console=console, quiet=quiet) if watch else None,
        introduce=lambda run: _introduce(run, console), data_root=data_root, device=device,
    )  # fmt: skip
    _conclude(outcome, path, console, result)
    return {"interrupted": 130, "diverged": 1}.get(outcome.status, 0)


def _introduce(run: Prepared, console: Any) -> None:
    settings, task = run.task.settings, run.task
    count = sum(parameter.numel() for parameter in run.model.parameters())
    train, validation, test = (len(part) for part in run.parts)  # type: ignore[arg-type]
    lines = [
        f"{settings.model}, {count:,} parameters",
        f"{settings.data}, {train:,} {task.samples} to learn from, {validation:,} to choose by, {test:,} to test on",
    ]
    chosen = {k: v for k, v in settings.to_json().items() if k not in _SAID and v not in (None, {}, [], ())}
    lines.append(", ".join(f"{k.replace('_', ' ')} {v}" for k, v in chosen.items()))
    values = task.facts.get("target_values", 0)
    if task.kind == "table" and task.facts["classes"] is None and values <= 20 and settings.classify is None:
        lines.append(f"{settings.target} has only {values} different numbers; --classify would make them classes")
    if run.trainer.epoch or run.trainer.step:
        lines.append(f"going on after {run.trainer.epoch} epochs and {run.trainer.step} batches")
    console.print("\n".join(lines) + "\n", soft_wrap=True, highlight=False, markup=False)


def _conclude(outcome: Outcome, path: Path, console: Any, result: Any) -> None:
    from rich.markup import escape

    def say(text: str) -> None:
        result.print(text, soft_wrap=True, highlight=False)

    console.print()
    if outcome.status == "interrupted":
        say(f"[yellow]Interrupted[/] {outcome.reason}; go on with: chainrule train --resume {escape(str(path))}")
    elif outcome.status == "stopped":
        say(f"Stopped early: {outcome.reason}")
    elif outcome.status == "diverged":
        typer.echo(f"chainrule: {outcome.reason}", err=True)
    if outcome.best_epoch:
        figures = ", ".join(f"[bold]test {k.replace('_', ' ')} {v:.4f}[/]" for k, v in outcome.test.items())
        which = "The mean of the weights" if outcome.averaged else f"Best epoch {outcome.best_epoch}"
        say(f"{which}: validation loss {outcome.validation['loss']:.4f}, {figures}")
    if outcome.sample:
        console.print(f"\nA sample:\n{outcome.sample}\n", markup=False, highlight=False)
    say(f"Run: {escape(str(path))}")  # brackets in a name are no markup
