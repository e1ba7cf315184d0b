"""The search by a Gaussian process: tries where one may hope for most, as a sampler of Optuna's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from chainrule.tune.gaussian_process import GaussianProcess, expected_improvement


class GaussianProcessSampler(BaseSampler):
    """Draws `startup` trials at random, then each where the expected improvement of a Gaussian process is largest.

    Optuna's sampler of this kind needs PyTorch; this one does not. The improvement is looked for at `candidates`
    random settings and at as many near the best ones. Trials that others are at work on count as if they had
    come out as expected, so that several workers do not try the same.

    Args:
        seed: of all that is random.
        startup: how many trials are random.
        candidates: how many settings are compared.

    Source: Jones, Schonlau and Welch, "Efficient global optimization of expensive black-box functions", 1998.
    """

    def __init__(self, seed: int | None = None, startup: int = 8, candidates: int = 1000) -> None:
        self.startup, self.candidates = startup, candidates
        self._random, self._at_random = np.random.default_rng(seed), RandomSampler(seed)
        self._space = IntersectionSearchSpace()

    def reseed_rng(self) -> None:
        """Other numbers from here on."""
        self._random = np.random.default_rng()
        self._at_random.reseed_rng()

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        """The settings that all finished trials have."""
        return {name: domain for name, domain in self._space.calculate(study).items() if not domain.single()}

    def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """At random: the first trials, and settings that not all trials have."""
        return self._at_random.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(self, study: Any, trial: Any, search_space: Mapping[str, Any]) -> dict[str, Any]:
        """The most promising settings; none while there are too few trials."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        done = [t for t in trials if math.isfinite(t.value)]
        if len(done) < self.startup or not search_space:
            return {}
        sign = 1 if study.direction.name == "MINIMIZE" else -1
        x = np.array([_place(t.params, search_space) for t in done])
        y = sign * np.array([t.value for t in done])
        best = y.min()
        process = GaussianProcess(x, y)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        others = [_place(t.params, search_space) for t in running if search_space.keys() <= t.params.keys()]
        if others:
            expected = process.predict(np.array(others))[0]
            process = GaussianProcess(np.vstack([x, others]), np.concatenate([y, expected]), process.settings)
        choices = self._choices(x[np.argsort(y)[:3]], search_space)
        places = np.array([_place(choice, search_space) for choice in choices])
        known = {tuple(place) for place in process.x.tolist()}
        new = [tuple(place) not in known for place in places.tolist()]
        hopes = expected_improvement(*process.predict(places), best)
        return choices[int(np.where(new, hopes, -1.0).argmax())]

    def _choices(self, best: np.ndarray, space: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Settings anywhere, and settings near the best ones."""
        anywhere = self._random.random((self.candidates, best.shape[1]))
        spread = 10.0 ** self._random.uniform(-3, -0.5, (self.candidates, 1))
        near = best[self._random.integers(len(best), size=self.candidates)]
        near = near + spread * self._random.standard_normal(near.shape)
        return [_settings(place, space) for place in np.concatenate([anywhere, near]).clip(0, 1)]


def _scale(domain: FloatDistribution | IntDistribution, value: float) -> float:
    return math.log(value) if domain.log else float(value)


def _place(settings: Mapping[str, Any], space: Mapping[str, Any]) -> list[float]:
    """Settings as a point of the unit cube: a coordinate for each number, one for each option of a choice."""
    place: list[float] = []
    for name, domain in space.items():
        if isinstance(domain, CategoricalDistribution):
            place += [float(settings[name] == option) for option in domain.choices]
        else:
            low, high = _scale(domain, domain.low), _scale(domain, domain.high)
            place.append((_scale(domain, settings[name]) - low) / (high - low))
    return place


def _settings(place: np.ndarray, space: Mapping[str, Any]) -> dict[str, Any]:
    """The settings nearest to a point of the unit cube."""
    settings: dict[str, Any] = {}
    rest = list(place)
    for name, domain in space.items():
        if isinstance(domain, CategoricalDistribution):
            marks, rest = rest[: len(domain.choices)], rest[len(domain.choices) :]
            settings[name] = domain.choices[int(np.argmax(marks))]
            continue
        low, high = _scale(domain, domain.low), _scale(domain, domain.high)
        value = low + float(rest.pop(0)) * (high - low)
        value = math.exp(value) if domain.log else value
        if domain.step is not None:
            value = domain.low + round((value - domain.low) / domain.step) * domain.step
        value = min(max(value, domain.low), domain.high)
        settings[name] = int(value) if isinstance(domain, IntDistribution) else float(value)
    return settings
