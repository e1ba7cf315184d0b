"""Searches on Optuna: grid, random and Bayesian, with pruning, several workers over one file, resumable."""

from __future__ import annotations

import logging
import multiprocessing
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chainrule.figures import new_figure, write_figure
from chainrule.tune.space import Space, check_space, grid_of, suggest

#: Gets the settings and `report(epoch, value)`, which ends a hopeless trial; answers the value to be made best.
Objective = Callable[[dict[str, Any], Callable[[int, float], None]], float]

METHODS = ("tpe", "gp", "random", "grid")
PRUNERS = ("median", "halving", "hyperband", "none")


class Search:
    """What a search has found so far.

    Attributes:
        study: Optuna's, for everything else that it can do.
    """

    def __init__(self, study: Any, space: Space) -> None:
        self.study = study
        self.space = space

    @property
    def best_settings(self) -> dict[str, Any]:
        """The settings of the best finished trial. Raises ValueError if none has finished."""
        if not self._finished():
            raise ValueError("no trial has finished yet.")
        return {**_fixed(self.space), **self.study.best_trial.params}

    @property
    def best_value(self) -> float:
        """Its value."""
        if not self._finished():
            raise ValueError("no trial has finished yet.")
        return float(self.study.best_value)

    def trials(self) -> list[dict[str, Any]]:
        """All trials: number, state ("complete", "pruned", "fail"), value and settings."""
        return [
            {"number": t.number, "state": t.state.name.lower(), "value": t.value, **t.params}
            for t in self.study.get_trials(deepcopy=False)
        ]

    def importance(self) -> dict[str, float]:
        """How much of the value's variance each setting explains (functional ANOVA), the largest first.

        Needs at least two finished trials; {} before.
        """
        import optuna

        if len(self._finished()) < 2 or not self.study.best_trial.params:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = optuna.importance.get_param_importances(
                self.study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
            )
        return {name: float(share) for name, share in found.items()}

    def plot(self, path: str | Path) -> None:
        """Two pictures in one PNG: each trial's value with the best so far, and what mattered."""
        figure = new_figure(10, 4, 120)
        history, importance = figure.subplots(1, 2)
        done = [(t["number"], t["value"]) for t in self.trials() if t["state"] == "complete"]
        if done:
            numbers, values = zip(*done, strict=True)
            pick = min if self.study.direction.name == "MINIMIZE" else max
            best = [pick(values[: i + 1]) for i in range(len(values))]
            history.plot(numbers, values, ".", label="trial")
            history.step(numbers, best, where="post", label="best so far")
            history.legend()
        history.set(title="Trials", xlabel="trial", ylabel="value")
        history.grid(alpha=0.3)
        shares = self.importance()
        importance.barh(list(shares)[::-1], list(shares.values())[::-1])
        importance.set(title="What mattered", xlabel="share of the variance")
        write_figure(path, figure)

    def _finished(self) -> list[Any]:
        from optuna.trial import TrialState

        return list(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def tune(
    objective: Objective,
    space: Space,
    *,
    trials: int = 30,
    method: str = "tpe",
    pruner: str = "median",
    direction: str = "minimize",
    storage: str | Path | None = None,
    name: str = "search",
    workers: int = 1,
    seed: int = 0,
    points: int = 4,
) -> Search:
    """Look for the settings that make `objective(settings, report)` smallest (or largest).

    Args:
        objective: trains with the settings and answers a value; it may call `report(epoch, value)` after each epoch,
            which raises for a trial that is not worth going on with. With several workers it must be a function of a
            module (it is sent to other processes).
        space: for each setting a `Float`, `Int` or `Choice`; anything else is a fixed value.
        trials: how many there are to be in all, those of earlier calls with the same storage and name included.
        method: "tpe" (tree of Parzen estimators) or "gp" (Gaussian process), both Bayesian; "random"; or "grid", with
            `points` values for each range.
        pruner: "median", "halving" (successive halving), "hyperband" or "none".
        storage: a file in which all is written down: a search goes on where it was interrupted, also by kill.
        workers: processes that work on it at the same time; more than one needs a storage.

    Raises ValueError for what does not fit, ImportError without the extra `search`.

    >>> from chainrule.tune import Float
    >>> found = tune(lambda s, report: (s["x"] - 0.3) ** 2, {"x": Float(0.0, 1.0)}, trials=20, seed=1)
    >>> abs(found.best_settings["x"] - 0.3) < 0.1
    True
    """
    _check(method, pruner, direction, workers, storage)
    check_space(space)
    study = _study(storage, name, method, pruner, direction, seed, space, points)
    if workers == 1:
        _work(study, objective, space, trials)
    else:
        arguments = (storage, name, method, pruner, direction, space, points, objective, trials)
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_worker, args=(*arguments, seed + 1 + i)) for i in range(workers)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        failed = [process.exitcode for process in processes if process.exitcode]
        if len(failed) == workers:
            raise RuntimeError(f"all {workers} workers ended with errors (exit codes {failed}); their output says why.")
    return Search(study, space)


def _check(method: str, pruner: str, direction: str, workers: int, storage: Any) -> None:
    for value, allowed, what in (
        (method, METHODS, "method"), (pruner, PRUNERS, "pruner"), (direction, ("minimize", "maximize"), "direction")
    ):  # fmt: skip
        if value not in allowed:
            raise ValueError(f"{what} is one of {', '.join(allowed)}, got {value!r}.")
    if workers < 1 or (workers > 1 and storage is None):
        raise ValueError("several workers meet in a storage: give a file, and at least one worker.")


def _fixed(space: Space) -> dict[str, Any]:
    from chainrule.tune.space import Choice, Float, Int

    return {name: value for name, value in space.items() if not isinstance(value, Float | Int | Choice)}


def _study(
    storage: Any, name: str, method: str, pruner: str, direction: Any, seed: int, space: Space, points: int
) -> Any:
    try:
        import optuna
    except ImportError as error:
        raise ImportError("tune needs Optuna: pip install 'chainrule[search]'.") from error
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    from chainrule.tune.bayesian import GaussianProcessSampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
        "gp": lambda: GaussianProcessSampler(seed),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "grid": lambda: optuna.samplers.GridSampler(grid_of(space, points), seed=seed),
    }
    pruners: dict[str, Any] = {
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
        "halving": optuna.pruners.SuccessiveHalvingPruner,
        "hyperband": optuna.pruners.HyperbandPruner,
        "none": optuna.pruners.NopPruner,
    }
    journal = None
    if storage is not None:
        path = Path(storage)
        path.parent.mkdir(parents=True, exist_ok=True)
        journal = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls what it has had for years experimental
        return optuna.create_study(
            storage=journal, study_name=name, direction=direction, sampler=samplers[method](),
            pruner=pruners[pruner](), load_if_exists=True,
        )  # fmt: skip


def _work(study: Any, objective: Objective, space: Space, trials: int) -> None:
    """Do trials until there are enough in all; others may work on the same study."""
    import optuna
    from optuna.trial import TrialState

    def one(trial: Any) -> float:
        def report(epoch: int, value: float) -> None:
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned

        return float(objective(suggest(trial, space), report))

    def enough(study: Any, _: Any) -> None:
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if len(done) >= trials:
            study.stop()

    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    if len(done) < trials:
        with warnings.catch_warnings(), _errors_said_once():
            warnings.simplefilter("ignore")
            study.optimize(one, callbacks=[enough])


@contextmanager
def _errors_said_once() -> Iterator[None]:
    """An error within a trial goes on to the caller; Optuna would print it, with its traceback, before."""
    log = logging.getLogger("optuna.study._optimize")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _worker(
    storage: Any, name: str, method: str, pruner: str, direction: str, space: Space, points: int,
    objective: Objective, trials: int, seed: int,
) -> None:  # fmt: skip
    _work(_study(storage, name, method, pruner, direction, seed, space, points), objective, space, trials)
