"""The search: every method finds what is there, prunes, resumes after a kill, and shares its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

from chainrule.tune import Choice, Float, Int, tune
from chainrule.tune.gaussian_process import GaussianProcess, expected_improvement

SPACE = {"x": Float(-2.0, 2.0), "n": Int(1, 5), "kind": Choice(["a", "b"]), "fixed": 7}


def bowl(settings: dict[str, Any], report: Any) -> float:
    """Smallest, 0, at x = 0.5, n = 3, kind b."""
    assert settings["fixed"] == 7
    return (settings["x"] - 0.5) ** 2 + (settings["n"] - 3) ** 2 + (settings["kind"] == "a")


def slow_bowl(settings: dict[str, Any], report: Any) -> float:
    """The same, for other processes."""
    time.sleep(0.02)
    return bowl(settings, report)


@pytest.mark.parametrize(("method", "trials", "enough"), [("tpe", 40, 0.5), ("gp", 20, 0.5), ("random", 40, 2.0)])
def test_methods_come_close(method: str, trials: int, enough: float) -> None:
    found = tune(bowl, SPACE, trials=trials, method=method, seed=3)
    assert found.best_value < enough and len(found.trials()) == trials
    assert found.best_settings["fixed"] == 7


def test_the_gaussian_process_finds_the_best_of_a_ravine() -> None:
    """25 trials come where 1 in 2,000 random ones does: |log₁₀ rate + 2| < 0.025, |x − 1| < 0.1, kind b."""

    def ravine(settings: dict[str, Any], report: Any) -> float:
        value = np.log10(settings["rate"] / 0.01) ** 2 * 16 + (settings["x"] - 1) ** 2 + (settings["kind"] == "a")
        return -float(value)

    space = {"rate": Float(1e-4, 1.0, log=True), "x": Float(0.0, 4.0, step=0.01), "kind": Choice(["a", "b"])}
    found = tune(ravine, space, trials=25, method="gp", direction="maximize")
    assert -0.01 < found.best_value <= 0 and found.best_settings["kind"] == "b"
    assert len({(t["rate"], t["x"], t["kind"]) for t in found.trials()}) == 25, "nothing is tried twice"


def test_the_gaussian_process_is_scikit_learn_s() -> None:
    """The same prediction for the same lengths, height and noise; and its fit is the place of largest likelihood."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    random = np.random.default_rng(0)
    x, new = random.random((25, 2)), random.random((40, 2))
    y = np.sin(5 * x[:, 0]) + x[:, 1] ** 2 + 0.05 * random.standard_normal(25)
    ours = GaussianProcess(x, y)
    *lengths, height, noise = np.exp(ours.settings)
    kernel = ConstantKernel(height) * Matern(lengths, nu=2.5) + WhiteKernel(noise + 1e-6)
    theirs = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(x, (y - y.mean()) / y.std())
    mean, deviation = theirs.predict(new, return_std=True)
    found = ours.predict(new)
    np.testing.assert_allclose(found[0], y.mean() + y.std() * mean, rtol=1e-6, atol=1e-8)
    without_noise = np.sqrt(deviation**2 - noise - 1e-6)
    np.testing.assert_allclose(found[1], y.std() * without_noise, rtol=1e-4)

    def posterior(settings: np.ndarray) -> float:
        order = [settings[2], *settings[:2], np.log(np.exp(settings[3]) + 1e-6)]  # as scikit-learn keeps them
        means, spreads = np.log([0.5, 0.5, 1, 1e-2]), np.array([1, 1, 1, 2])
        return theirs.log_marginal_likelihood(np.array(order)) - (((settings - means) / spreads) ** 2).sum() / 2

    best = posterior(ours.settings)
    assert all(posterior(ours.settings + 0.05 * random.standard_normal(4)) < best for _ in range(30))


def test_expected_improvement_is_an_expectation() -> None:
    mean, deviation = np.array([0.3, -1.0, 2.0]), np.array([1.0, 0.1, 0.7])
    u = (np.arange(200_000) + 0.5) / 200_000
    normal = np.sqrt(2) * special.erfinv(2 * u - 1)
    expected = np.maximum(0.5 - (mean[:, None] + deviation[:, None] * normal), 0).mean(1)
    np.testing.assert_allclose(expected_improvement(mean, deviation, 0.5), expected, rtol=1e-4)


#: Runs in a process of its own, where importing PyTorch fails.
WITHOUT_PYTORCH = """
import sys

class Missing:
    def find_spec(self, name, *_):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from chainrule.tune import tune
from tests.test_tune import SPACE, bowl

for method in ("tpe", "gp", "random", "grid"):
    print(len(tune(bowl, SPACE, trials=10, method=method).importance()))
"""


def test_no_search_needs_pytorch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PYTORCH], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3"] * 4


def test_a_grid_is_walked_whole() -> None:
    found = tune(bowl, SPACE, trials=1000, method="grid", points=5)
    tried = {(t["x"], t["n"], t["kind"]) for t in found.trials()}
    assert tried == {(x, n, k) for x in (-2.0, -1.0, 0.0, 1.0, 2.0) for n in (1, 2, 3, 4, 5) for k in "ab"}
    assert len(found.trials()) == 50 and found.best_value == 0.25


def test_the_same_seed_tries_the_same() -> None:
    one, two = (tune(bowl, SPACE, trials=8, seed=5).trials() for _ in range(2))
    assert one == two


def test_hopeless_trials_are_pruned() -> None:
    def objective(settings: dict[str, Any], report: Any) -> float:
        for epoch in range(20):
            report(epoch, settings["x"])
        return settings["x"]

    found = tune(objective, {"x": Float(0.0, 1.0)}, trials=30, method="random", pruner="median")
    states = [t["state"] for t in found.trials()]
    assert states.count("pruned") >= 8
    assert found.best_value == min(t["value"] for t in found.trials() if t["state"] == "complete")


def test_it_says_what_mattered_and_draws_it(tmp_path: Path) -> None:
    found = tune(lambda s, report: s["x"] ** 2 + 0.001 * s["y"], {"x": Float(-1, 1), "y": Float(-1, 1)}, trials=60)
    shares = found.importance()
    assert shares["x"] > 5 * shares["y"]
    found.plot(tmp_path / "search.png")
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    tune(bowl, SPACE, trials=5, storage=tmp_path / "journal")
    found = tune(bowl, SPACE, trials=12, storage=tmp_path / "journal")
    assert len(found.trials()) == 12
    assert len(tune(bowl, SPACE, trials=12, storage=tmp_path / "journal").trials()) == 12


@pytest.mark.parametrize("method", ["random", "gp"])
def test_several_workers_share_a_file(tmp_path: Path, method: str) -> None:
    found = tune(slow_bowl, SPACE, trials=12, storage=tmp_path / "journal", workers=2, method=method)
    complete = [t for t in found.trials() if t["state"] == "complete"]
    assert 12 <= len(complete) <= 13  # one may have begun when the last one ended
    if method == "random":  # the other may try an end of the range twice
        assert len({t["x"] for t in complete}) == len(complete)


def test_a_killed_search_goes_on(tmp_path: Path) -> None:
    code = (
        "from tests.test_tune import slow_bowl, SPACE\nfrom chainrule.tune import tune\n"
        f"tune(slow_bowl, SPACE, trials=500, storage={str(tmp_path / 'journal')!r}, method='random')"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[1])
    while not (tmp_path / "journal").exists() or (tmp_path / "journal").read_text().count("\n") < 60:
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = sum(t["state"] == "complete" for t in tune(bowl, SPACE, trials=1, storage=tmp_path / "journal").trials())
    found = tune(bowl, SPACE, trials=before + 4, storage=tmp_path / "journal")
    assert sum(t["state"] == "complete" for t in found.trials()) == before + 4 > 4


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="method is one of tpe"):
        tune(bowl, SPACE, method="annealing")
    with pytest.raises(ValueError, match="meet in a storage"):
        tune(bowl, SPACE, workers=2)
    with pytest.raises(ValueError, match="x: low is at most high"):
        tune(bowl, {"x": Float(2, 1)})
    with pytest.raises(ValueError, match="x: logarithms need low above 0"):
        tune(bowl, {"x": Float(0, 1, log=True)})
    with pytest.raises(ValueError, match="no trial has finished"):
        print(tune(bowl, SPACE, trials=0).best_settings)
