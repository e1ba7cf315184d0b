"""`chainrule train AGENT` and `chainrule play`: agents that learn to act."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

#: The options of `chainrule train` that agents have too.
_SHARED = {"model", "data", "data_root", "seed", "compile", "learning_rate", "batch_size"}


def train_an_agent(given: dict[str, Any], changes: dict[str, Any], output: Path | None, quiet: bool) -> int:
    """What `chainrule train` does for the name of an agent; --data is the environment.

    given: what the options say, as settings; changes: what --set says, `worlds` and the agent's settings.
    """
    from chainrule.rl.deep.run import train_agent
    from chainrule.tasks.run import new_run_path

    name, environment = given["model"], given.get("data", "cartpole")
    foreign = sorted(set(given) - _SHARED)
    if foreign:
        raise ValueError(
            f"--{foreign[0].replace('_', '-')} is not for agents: they learn for so many steps, and what else can be "
            f"chosen is given as --set steps=100000; `chainrule.rl` describes the settings of {name}."
        )
    path = new_run_path("runs", f"{name}-{environment.lower()}") if output is None else output
    settings: dict[str, Any] = {key: given[key] for key in ("learning_rate", "batch_size") if key in given}
    settings.update(changes)
    worlds = settings.pop("worlds", None)
    return _conclude(
        lambda progress: train_agent(
            name, environment, path, seed=given.get("seed", 0), worlds=worlds, compile=given.get("compile", True),
            progress=progress, **settings,
        ), path, quiet,
    )  # fmt: skip


def resume_an_agent(path: Path, quiet: bool) -> int:
    """What `chainrule train --resume` does for a run of an agent."""
    from chainrule.rl.deep.run import resume_agent

    return _conclude(lambda progress: resume_agent(path, progress), path, quiet)


def _conclude(train: Any, path: Path, quiet: bool) -> int:
    import rich.console
    import rich.progress

    from chainrule.train import diagnose, format_findings

    columns = (*rich.progress.Progress.get_default_columns(), rich.progress.TextColumn("{task.fields[said]}"))
    bar = rich.progress.Progress(*columns, console=rich.console.Console(quiet=quiet, stderr=True))
    line = bar.add_task("steps", total=None, said="")

    def progress(agent: Any, rows: list[dict[str, float]]) -> None:
        bar.start()  # only now: until here something may be wrong with what was asked for
        said = f"return {rows[-1]['return']:.1f}" if rows else ""
        bar.update(line, total=agent.settings.steps, completed=agent.steps, said=said)

    try:
        outcome = train(progress)
    finally:
        bar.stop()
    if not quiet and (findings := diagnose(path)):
        rich.console.Console().print(format_findings(findings))
    if outcome.status == "interrupted":
        typer.echo(f"Interrupted after {outcome.steps} steps; go on with: chainrule train --resume {path}")
    if outcome.episodes:
        typer.echo(f"Mean return {outcome.mean:.1f} ± {outcome.std:.1f} in {outcome.episodes} new episodes")
    typer.echo(f"Run: {path}")
    return 130 if outcome.status == "interrupted" else 0


def play(
    environment: Annotated[str, typer.Argument(help="An environment, such as [bold]cartpole[/], or a run's folder.")],
    agent: Annotated[
        str | None,
        typer.Option(
            help="Who plays: [bold]random[/], or the name of an agent, whose latest run in runs/ in this environment "
            "is taken. [dim]default: that of the run, or random[/]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same episode.")] = 0,
    film: Annotated[Path | None, typer.Option(help="Write the episode to this .gif file.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Draw nothing; only the result.")] = False,
) -> int:
    """Watch an agent play an episode, in the terminal or as a film.

    [bold]Examples[/]

      chainrule play cartpole
      chainrule train ppo --data cartpole && chainrule play cartpole --agent ppo
      chainrule play runs/mine --film balance.gif --quiet
    """
    from chainrule import rl
    from chainrule.rl.deep.recipes import find_agent
    from chainrule.rl.deep.run import is_agent_run, open_agent

    options: dict[str, Any] = {}
    run = Path(environment) if is_agent_run(environment) else None
    if agent not in (None, "random"):
        find_agent(str(agent))
        run = _latest_run(str(agent), environment) if run is None else run
    player = None
    if run is not None and agent != "random":
        player, config = open_agent(run)
        environment, options = config["environment"], config["options"]
    world = rl.make(environment, render_mode="rgb_array", **options)
    world.action_space.seed(seed)
    observation, _ = world.reset(seed=seed)
    total, steps, over, frames = 0.0, 0, False, [world.render()]
    while not over and steps < 10_000:
        action = world.action_space.sample() if player is None else player.act(_batch(observation))[0]
        observation, reward, terminated, truncated, _ = world.step(action)
        total, steps, over = total + float(reward), steps + 1, bool(terminated or truncated)
        if film is not None or not quiet:
            frames.append(world.render())
        if not quiet:
            typer.echo("\x1b[H\x1b[2J" + rl.picture_text(frames[-1]) + f"\nstep {steps}, return {total:.4g}")
            time.sleep(1 / 30)
    world.close()
    if film is not None:
        rl.save_gif(frames, film, frames_per_second=30)
    who = "random actions" if player is None else player.name
    typer.echo(f"{environment}, {who}: return {total:.4g} in {steps} steps" + (f"; film: {film}" if film else ""))
    return 0


def _batch(observation: Any) -> Any:
    import numpy as np

    return np.asarray(observation)[None]


def _latest_run(agent: str, environment: str) -> Path:
    import json

    found = []
    for config in Path("runs").glob("*/config.json"):
        said = json.loads(config.read_text(encoding="utf-8"))
        if said.get("agent") == agent and said.get("environment") == environment:
            found.append((config.stat().st_mtime, config.parent))
    if not found:
        raise ValueError(
            f"runs/ has no run of {agent} in {environment}; train one: chainrule train {agent} --data {environment}"
        )
    return max(found)[1]
