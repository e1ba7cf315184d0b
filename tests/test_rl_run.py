"""Runs of agents: a folder with all that came out, going on bit for bit, and the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule import rl
from chainrule.cli import main
from chainrule.errors import DataError
from chainrule.rl.deep import recipes

SMALL: dict[str, Any] = {"steps": 1024, "hidden": (16,), "length": 16, "batch_size": 64, "epochs": 2, "compile": False}


def run_command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def best(path: Path) -> list[np.ndarray]:
    saved = chainrule.load(path / "best.safetensors")
    return [tensor.numpy() for part in saved.values() for tensor in part.values()]


def test_a_run_leaves_all_that_came_out(tmp_path: Path) -> None:
    outcome = rl.train_agent("ppo", "cartpole", tmp_path / "run", worlds=4, seed=3, **SMALL)
    assert outcome.status == "finished" and outcome.steps == 1024 and outcome.episodes == 100
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "config.json", "metrics.csv", "best.safetensors", "checkpoint.safetensors", "summary.json", "report.html", "film.gif",
        "doctor.json",
    }  # fmt: skip
    assert json.loads((tmp_path / "run/summary.json").read_text())["mean"] == outcome.mean
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()
    assert rows[0].startswith("steps,return,while_learning") and len(rows) == 17  # a rollout is 64 steps, of 51 each
    assert json.loads((tmp_path / "run/doctor.json").read_text()) == []
    report = (tmp_path / "run/report.html").read_text()
    assert "data:image/gif;base64" in report and "return by step" in report and "Evaluations" in report
    with Image.open(tmp_path / "run/film.gif") as film:
        assert film.size == (300, 200)
    # the figure is that of the saved weights
    agent, config = rl.open_agent(tmp_path / "run")
    again = rl.evaluate_agent(agent, rl.make_vector("cartpole", 20), episodes=100, seed=20_003)
    assert again.mean() == outcome.mean and config["seed"] == 3
    with pytest.raises(FileExistsError, match="holds a run already"):
        rl.train_agent("ppo", "cartpole", tmp_path / "run")


def test_a_recipe_says_how_many_worlds_and_whoever_asks_has_the_last_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recipes.RECIPES, ("ppo", "cartpole"), {"worlds": 3, **SMALL, "steps": 96, "batch_size": 48})
    recipes.RECIPES[("ppo", "cartpole")].pop("compile")
    for asked, worlds in ((None, 3), (6, 6)):
        rl.train_agent("ppo", "CartPole-v1", tmp_path / str(asked), worlds=asked, compile=False)
        config = json.loads((tmp_path / str(asked) / "config.json").read_text())
        assert config["worlds"] == worlds and config["settings"]["steps"] == 96


@pytest.mark.parametrize(("name", "world"), [("dqn", "cartpole"), ("ppo", "cartpole"), ("sac", "pendulum")])
def test_an_interrupted_run_goes_on_bit_for_bit(name: str, world: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "dqn": {"steps": 400, "hidden": (8,), "warmup": 50},
        "ppo": {**SMALL, "steps": 640},
        "sac": {"steps": 300, "hidden": (8,), "warmup": 50, "batch_size": 16},
    }[name]
    options = {"max_steps": 40} if world == "pendulum" else {}  # its 21 evaluations never end earlier
    settings = {"compile": False, "options": options, **settings}
    whole = rl.train_agent(name, world, tmp_path / "whole", **settings)

    def stop(agent: Any, rows: Any) -> None:
        if agent.steps >= settings["steps"] * 0.6:
            raise KeyboardInterrupt

    first = rl.train_agent(name, world, tmp_path / "halves", progress=stop, **settings)
    assert first.status == "interrupted" and first.steps < whole.steps
    second = rl.resume_agent(tmp_path / "halves")
    assert second == whole
    assert (tmp_path / "halves/metrics.csv").read_text() == (tmp_path / "whole/metrics.csv").read_text()
    assert all((a == b).all() for a, b in zip(best(tmp_path / "whole"), best(tmp_path / "halves"), strict=True))


def test_evaluating_touches_nothing() -> None:
    agent = rl.PPO(rl.make_vector("cartpole", 4), rl.PPO.Settings(length=32), seed=0, compile=False)
    agent.advance()
    before = json.dumps(agent.random.bit_generator.state), agent.steps, agent.seen.copy()
    returns = rl.evaluate_agent(agent, rl.make_vector("cartpole", 3), episodes=7, seed=5, greedy=False)
    assert returns.shape == (7,)
    assert (json.dumps(agent.random.bit_generator.state), agent.steps) == before[:2]
    np.testing.assert_array_equal(agent.seen, before[2])


def test_every_world_counts_alike() -> None:
    """Constant pushing to one side ends after about nine steps in each: the mean is that of single episodes."""

    class Pushes:
        random = np.random.default_rng(0)

        def act(self, observations: Any, greedy: bool = True) -> Any:
            return np.zeros(len(observations), int)

    found = rl.evaluate_agent(Pushes(), rl.make_vector("cartpole", 50), episodes=200, seed=0)  # type: ignore[arg-type]
    assert found.min() >= 8 and found.max() <= 11 and found.mean() == pytest.approx(9.35, abs=0.3)


# ------------------------------------------------------------------------------------- the commands


def test_train_play_and_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--set", "steps=256", "--set", "hidden=8", "--set", "worlds=4", "--batch-size", "64", "--eager", "--quiet"]
    assert run_command("train", "ppo", "--data", "cartpole", "--output", "runs/mine", "--seed", "1", *flags) == 0
    assert "in 100 new episodes" in capsys.readouterr().out
    assert json.loads(Path("runs/mine/config.json").read_text())["settings"]["batch_size"] == 64
    assert run_command("train", "--resume", "runs/mine", "--quiet") == 0
    mean = json.loads(Path("runs/mine/summary.json").read_text())["mean"]
    capsys.readouterr()
    assert run_command("evaluate", "runs/mine", "--json") == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] == mean
    assert run_command("evaluate", "runs/mine", "--part", "train") == 2
    assert "--part is not for agents" in capsys.readouterr().err
    for arguments in (["cartpole", "--agent", "ppo"], ["runs/mine"], ["pendulum"], ["frozenlake", "--agent", "random"]):
        assert run_command("play", *arguments, "--film", "film.gif", "--quiet") == 0
        assert "return" in capsys.readouterr().out
    assert Path("film.gif").stat().st_size > 500
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert run_command("play", "gridworld") == 0
    assert "▀" in capsys.readouterr().out


def test_agents_are_listed_beside_the_networks(capsys: Any) -> None:
    assert run_command("models", "--task", "reinforcement learning", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert sorted(rows) == ["a2c", "dqn", "ppo", "reinforce", "sac"] and rows["sac"]["data"] == ["pendulum"]
    assert "pendulum" not in rows["dqn"]["data"] and rows["ppo"]["paper"] == "Schulman et al. 2017"
    assert run_command("models", "dqn") == 0
    said = capsys.readouterr().out
    assert "dqn  (reinforcement learning; Mnih et al. 2015)" in said and "gamma=0.99" in said and "cartpole" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "ppo", "--data", "cartpoll"], "no environment 'cartpoll'.*Did you mean cartpole"),
        (["train", "dqn", "--data", "pendulum"], "dqn acts by choices"),
        (["train", "ppo", "--epochs", "3"], "--epochs is not for agents.*--set steps=100000"),
        (["train", "ppo", "--set", "epoch=3"], "the agent ppo has no setting 'epoch'; did you mean epochs"),
        (["train", "ppo", "--set", "gamma=high"], "gamma of the agent ppo is like 0.99, got 'high'"),
        (["play", "cartpole", "--agent", "pppo"], "there is no agent 'pppo'.*Did you mean ppo"),
        (["play", "cartpole", "--agent", "ppo"], "has no run of ppo in cartpole; train one"),
        (["play", "nowhere"], "there is no environment 'nowhere'"),
    ],
)
def test_wrong_words_are_answered_in_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    assert run_command(*arguments) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and re.search(says, said), said


def test_folders_without_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no run of an agent"):
        rl.resume_agent(tmp_path)
    (tmp_path / "config.json").write_text('{"agent": "ppo"}')
    with pytest.raises(DataError, match="describes no run"):
        rl.open_agent(tmp_path)
