"""A run: one loop for all agents, with evaluation, checkpoints, a report and a film, in a folder.

config.json             what was asked for, with every default filled in
metrics.csv             a row for each evaluation
doctor.json             what is wrong with learning, [] if nothing is
best.safetensors        the networks that played best
checkpoint.safetensors  all that is needed to go on, replay memory and worlds included
summary.json, report.html, film.gif    what came out
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import CheckpointError, DataError
from chainrule.files import write_text
from chainrule.rl.deep.agent import Agent
from chainrule.rl.deep.evaluating import evaluate_agent, film_agent
from chainrule.rl.deep.recipes import agent_settings, find_agent, usual_worlds
from chainrule.rl.deep.watching import acting_of
from chainrule.rl.drawing import save_gif
from chainrule.rl.episode import Array
from chainrule.rl.making import make, make_vector
from chainrule.serialization import load, save
from chainrule.train.doctor import Doctor
from chainrule.train.interruption import LeftAtOnce, hold_interrupts
from chainrule.train.report import Report, write_report
from chainrule.train.run_lock import RunLock

#: Evaluations during a run, and their episodes; those of the end.
EVALUATIONS, EPISODES, LAST_EPISODES = 20, 20, 100
#: A checkpoint is written with each evaluation, and after so many seconds between.
CHECKPOINT_SECONDS = 60.0


class AgentOutcome(NamedTuple):
    """How a run ended.

    Attributes:
        status: "finished" or "interrupted".
        steps: how many were taken.
        best: the best mean return of an evaluation, by which the weights were chosen.
        mean, std, episodes: the returns of the chosen weights in new episodes; NaN if there was no evaluation.
    """

    status: str
    steps: int
    best: float
    mean: float
    std: float
    episodes: int


@dataclasses.dataclass
class _Run:
    """What a run holds between two pieces."""

    agent: Agent
    config: dict[str, Any]
    path: Path
    rows: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best: float = -np.inf
    doctor: Doctor = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.doctor = Doctor(quiet=True, path=self.path / "doctor.json")

    def worlds(self, count: int) -> Any:
        return make_vector(self.config["environment"], count, **self.config["options"])

    def save(self) -> None:
        save(
            {
                "agent": self.agent.state_dict(),
                "rows": self.rows,
                "best": self.best,
                "doctor": self.doctor.state_dict(),
            },
            self.path / "checkpoint.safetensors",
        )


def train_agent(
    name: str, environment: str, path: str | Path, *, seed: int = 0, worlds: int | None = None, compile: bool = True,
    options: dict[str, Any] | None = None, progress: Callable[[Agent, list[dict[str, float]]], None] | None = None,
    **settings: Any,
) -> AgentOutcome:  # fmt: skip
    """Train an agent by its name in an environment by its name, into a new folder.

    Every twentieth of the steps it plays 20 greedy episodes in other worlds; the networks that played best are kept and
    play 100 new ones at the end.

    Args:
        worlds: how many stand side by side; the agent's usual number in this world unless given.
        options: of the environment.
        progress: called after each piece with the agent and the rows so far.
        settings: of the agent, see `agent_settings`.

    Raises FileExistsError if the folder holds a run, ValueError for names and settings that there are not.
    """
    path = Path(path)
    if (path / "config.json").exists():
        raise FileExistsError(
            f"{path} holds a run already; choose another folder, or go on with it by --resume {path}."
        )
    chosen = agent_settings(name, environment, **settings)
    config = {
        "agent": name, "environment": environment, "options": options or {}, "seed": seed,
        "worlds": usual_worlds(name, environment) if worlds is None else worlds, "compile": compile,
        "settings": dataclasses.asdict(chosen),
    }  # fmt: skip
    run = _Run(_make_agent(config), config, path)
    path.mkdir(parents=True, exist_ok=True)
    _write(path / "config.json", json.dumps(config, indent=2))
    return _go(run, progress)


def resume_agent(path: str | Path, progress: Callable[..., None] | None = None) -> AgentOutcome:
    """Go on with the run in a folder, bit for bit where the environment is ours. Raises DataError if there is none."""
    run = _open(path)
    if (run.path / "checkpoint.safetensors").exists():
        state = load(run.path / "checkpoint.safetensors")
        if not isinstance(state, dict) or not {"agent", "rows", "best", "doctor"} <= set(state):
            raise CheckpointError(f"{run.path}/checkpoint.safetensors is no checkpoint of an agent's run.")
        run.agent.load_state_dict(state["agent"])
        run.rows, run.best = state["rows"], state["best"]
        run.doctor.load_state_dict(state["doctor"])
    return _go(run, progress)


def open_agent(path: str | Path) -> tuple[Agent, dict[str, Any]]:
    """A run's agent with the networks that played best, and its config. Raises DataError if there are none."""
    run = _open(path)
    if not (run.path / "best.safetensors").exists():
        raise DataError(f"{path} has no weights yet: no evaluation of it was finished.")
    run.agent.load_weights(load(run.path / "best.safetensors"))
    return run.agent, run.config


def evaluate_agent_run(path: str | Path) -> dict[str, float]:
    """How well a run's agent plays with its best networks, in the 100 episodes that its summary is about."""
    returns = _last_returns(*open_agent(path))
    return {"mean_return": float(returns.mean()), "std_return": float(returns.std()), "episodes": len(returns)}


def is_agent_run(path: str | Path) -> bool:
    """Whether a folder holds a run of an agent (and not of a network that learns from data)."""
    try:
        config = json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "agent" in config


# ------------------------------------------------------------------------------------- the loop


def _go(run: _Run, progress: Callable[..., None] | None) -> AgentOutcome:
    agent, status = run.agent, "finished"
    every = max(1, agent.settings.steps // EVALUATIONS)
    saved = time.monotonic()
    lock = RunLock(run.path)
    lock.take()
    try:
        with hold_interrupts() as stop_if_asked:
            try:
                while agent.steps < agent.settings.steps:
                    before = agent.steps
                    agent.advance()
                    if agent.steps // every > before // every:
                        _evaluate(run)
                    elif time.monotonic() - saved > CHECKPOINT_SECONDS:
                        run.save()
                        saved = time.monotonic()
                    if progress is not None:
                        progress(agent, run.rows)
                    stop_if_asked()
            except LeftAtOnce:
                raise  # in the middle of a step, perhaps
            except KeyboardInterrupt:
                status = "interrupted"
            run.save()
            return _finish(run, status)
    finally:
        lock.release()


def _evaluate(run: _Run) -> None:
    """Play; keep the networks if they never played better; write a row and a checkpoint."""
    agent, worlds = run.agent, run.worlds(EPISODES)
    found = evaluate_agent(agent, worlds, episodes=EPISODES, seed=10_000 + run.config["seed"])
    worlds.close()
    lived = [row[1] for row in agent.finished[-100:]]
    while_learning = float(np.mean(lived)) if lived else np.nan
    run.rows.append(
        {
            "steps": agent.steps, "return": float(found.mean()), "while_learning": while_learning,
            "episodes": len(agent.finished), **agent.figures,
        }
    )  # fmt: skip
    if found.mean() >= run.best:
        run.best = float(found.mean())
        save(agent.weights(), run.path / "best.safetensors")
    run.doctor.observe_agent(acting_of(agent))
    _write(run.path / "metrics.csv", _csv(run.rows))
    run.save()


def _finish(run: _Run, status: str) -> AgentOutcome:
    agent, returns = run.agent, np.array([np.nan])
    films = {}
    history = list(agent.finished)
    if (run.path / "best.safetensors").exists():
        agent.load_weights(load(run.path / "best.safetensors"))
        returns = _last_returns(agent, run.config)
        films = _film(run)
    count = 0 if np.isnan(returns).any() else len(returns)
    outcome = AgentOutcome(status, agent.steps, run.best, float(returns.mean()), float(returns.std()), count)
    _write(run.path / "summary.json", json.dumps(outcome._asdict(), indent=2))
    series: dict[str, tuple[list[Any], list[Any]]] = {
        "return while learning": ([row[0] for row in history], [row[1] for row in history])
    }
    names = dict.fromkeys(key for row in run.rows for key in row)
    for name in [name for name in names if name not in ("steps", "episodes", "while_learning")]:
        series[name.replace("_", " ")] = [r["steps"] for r in run.rows], [r.get(name, np.nan) for r in run.rows]
    title = f"{run.config['agent']} in {run.config['environment']}"
    numbers = {"mean return": outcome.mean, "standard deviation": outcome.std, "episodes": count, "steps": agent.steps}
    report = Report(
        title, (), numbers, run.config, tables={"Evaluations": run.rows},
        series={name: points for name, points in series.items() if points[0]}, unit="step", films=films,
        findings=run.doctor.findings,
    )  # fmt: skip
    write_report(report, run.path / "report.html")
    return outcome


def _last_returns(agent: Agent, config: dict[str, Any]) -> Array:
    worlds = make_vector(config["environment"], EPISODES, **config["options"])
    returns = evaluate_agent(agent, worlds, episodes=LAST_EPISODES, seed=20_000 + config["seed"])
    worlds.close()
    return returns


def _film(run: _Run) -> dict[str, bytes]:
    world = make(run.config["environment"], render_mode="rgb_array", **run.config["options"])
    try:
        frames, total = film_agent(run.agent, world, seed=run.config["seed"])
    except Exception as error:  # a world of others may need more to draw than is installed: a film is an extra
        if not type(error).__module__.startswith("gymnasium"):
            raise
        return {}
    finally:
        world.close()
    save_gif(frames, run.path / "film.gif", frames_per_second=25)
    return {f"The greedy agent, return {total:.4g}": (run.path / "film.gif").read_bytes()}


# ------------------------------------------------------------------------------------- files


def _make_agent(config: dict[str, Any]) -> Agent:
    worlds = make_vector(config["environment"], config["worlds"], **config["options"])
    settings = agent_settings(config["agent"], config["environment"], **config["settings"])
    return find_agent(config["agent"])(worlds, settings, seed=config["seed"], compile=config["compile"])


def _open(path: str | Path) -> _Run:
    path = Path(path)
    if not is_agent_run(path):
        raise DataError(f"{path} holds no run of an agent: there is no config.json in it that names one.")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    try:
        return _Run(_make_agent(config), config, path)
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}/config.json describes no run of an agent: {error!r}.") from error


def _write(path: Path, text: str) -> None:
    write_text(path, text + "\n")


def _csv(rows: list[dict[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")
