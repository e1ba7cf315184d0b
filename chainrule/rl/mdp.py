"""Markov decision processes: five things, (S, A, P, R, γ), as arrays; and what happens when one acts in them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.rl.episode import Array, Episode

if TYPE_CHECKING:
    from chainrule.rl.environment import TabularEnvironment

#: Probabilities of one row may miss 1 by so much: sums of rounded numbers do.
ROUNDING = 1e-8


class Outcome(NamedTuple):
    """What may follow on an action: with this probability, that state and that reward."""

    probability: float
    state: int
    reward: float


class MDP:
    """A finite Markov decision process.

    In state s the agent takes action a; then P[s, a, s′] is the probability that the next state is s′, and
    R[s, a] = E[R_{t+1} | S_t = s, A_t = a] the mean of the reward, which comes with the next state and may be random.
    The return is G_t = R_{t+1} + γ·R_{t+2} + γ²·R_{t+3} + …, up to the end T of the episode, which may be infinity.

    Args:
        P: probabilities (S, A, S), ℙ(S_{t+1} = s′ | S_t = s, A_t = a).
        R: mean rewards: (S, A), or (S, A, S) where they depend on the next state too.
        gamma: the discount γ in [0, 1]: 0 counts the next reward only, 1 counts all alike.
        terminal: the states where episodes end, as a mask (S,) or a list; unless given, those that every action leaves
            as they are without reward. What P and R say of them is not read: who is there stays and gets nothing.
        start: probabilities (S,) of the first state, or one state; unless given, every state that is not terminal is
            equally likely.
        reward_std: rewards are normal around their mean with this standard deviation, (S, A) or a number.
        states: names of states, used in messages and pictures; by default their numbers.
        actions: names of actions.

    Attributes:
        P, R, gamma, terminal (a mask), start, reward_std, states, actions: as above, in full; R is (S, A).

    Raises ValueError for shapes that do not fit, rows that are no probabilities, rewards that are no numbers, γ outside
    of [0, 1], and γ = 1 where some state cannot reach an end (its return would be a sum without end). Warns of states
    that cannot be reached from the start.

    Source: class notes E 8.2.1, with the usual R_{t+1} and R(s, a); Puterman, "Markov decision processes", 1994.

    Stay where you are and earn 1, or go and earn 3 at the end:

    >>> P = np.zeros((2, 2, 2)); P[0, 0, 0] = P[0, 1, 1] = 1; P[1, :, 1] = 1
    >>> mdp = MDP(P, [[1.0, 3.0], [0.0, 0.0]], gamma=0.5, actions=["stay", "go"])
    >>> mdp
    MDP(2 states, of which 1 terminal; 2 actions; gamma=0.5)
    >>> MDP(P / 2, mdp.R, 0.5, terminal=[1])
    Traceback (most recent call last):
    ValueError: P[0, 0] sums to 0.5: the probabilities of what follows on action 0 in state 0 must sum to 1.
    """

    def __init__(
        self,
        P: Any,
        R: Any,
        gamma: float = 1.0,
        *,
        terminal: Any = None,
        start: Any = None,
        reward_std: Any = 0.0,
        states: Sequence[Any] | None = None,
        actions: Sequence[Any] | None = None,
    ) -> None:
        self.P = np.array(P, float)
        if self.P.ndim != 3 or self.P.shape[0] != self.P.shape[2] or 0 in self.P.shape:
            raise ValueError(f"P is (states, actions, states), got an array of shape {self.P.shape}.")
        count, choices, _ = self.P.shape
        rewards = np.array(R, float)
        if rewards.shape not in ((count, choices), self.P.shape):
            raise ValueError(
                f"R is (states, actions) = {(count, choices)}, or with the next state {self.P.shape}; got an array of "
                f"shape {rewards.shape}."
            )
        self.gamma = float(gamma)
        self.states = _names(states, count, "states")
        self.actions = _names(actions, choices, "actions")
        self.reward_std = np.broadcast_to(np.asarray(reward_std, float), (count, choices)).copy()
        self._check_numbers(rewards)
        per_outcome = rewards if rewards.ndim == 3 else np.repeat(rewards[:, :, None], count, axis=2)
        if terminal is None:  # which states end is read off the rows, so all of them must be right
            self._check_rows()
        self.terminal = _resting(self.P, per_outcome) if terminal is None else _mask(terminal, count)
        self.P[self.terminal] = np.eye(count)[self.terminal][:, None, :]
        per_outcome = np.where(self.terminal[:, None, None], 0.0, per_outcome)
        self.reward_std[self.terminal] = 0.0
        self._check_rows()
        self.R = np.einsum("ijk,ijk->ij", self.P, per_outcome)
        self._outcomes = [[_outcomes(self.P[s, a], per_outcome[s, a]) for a in range(choices)] for s in range(count)]
        self.start = self._starts(start)
        self._check_ends()
        self._check_reachable()

    @staticmethod
    def from_outcomes(
        outcomes: Mapping[int, Mapping[int, Sequence[Sequence[float]]]], gamma: float = 1.0, **settings: Any
    ) -> MDP:
        """From what may follow: `outcomes[s][a]` lists (probability, next state, reward), as `env.P` of Gymnasium does.

        The same next state may be listed with several rewards: that is a random reward, and `simulate` draws it as it
        is listed. A fourth entry, whether the episode ends, makes the next state a terminal one. Other arguments are
        those of the class.

        >>> coin = {0: {0: [(0.5, 1, 1.0), (0.5, 1, -1.0)]}, 1: {0: [(1.0, 1, 0.0)]}}
        >>> float(MDP.from_outcomes(coin).R[0, 0])
        0.0
        """
        count, choices = len(outcomes), len(outcomes[0])
        P, R = np.zeros((count, choices, count)), np.zeros((count, choices))
        table: list[list[list[Outcome]]] = [[[] for _ in range(choices)] for _ in range(count)]
        ends: set[int] = set()
        for s, a in np.ndindex(count, choices):
            for probability, state, reward, *ended in outcomes[s][a]:
                P[s, a, int(state)] += probability
                R[s, a] += probability * reward
                table[s][a].append(Outcome(float(probability), int(state), float(reward)))
                ends |= {int(state)} if any(ended) else set()
        if ends:
            settings = {"terminal": sorted(ends), **settings}
        mdp = MDP(P, R, gamma, **settings)
        mdp._outcomes = [
            mdp._outcomes[s] if mdp.terminal[s] else [_merged(row) for row in table[s]] for s in range(count)
        ]
        return mdp

    # ------------------------------------------------------------------------------------- looking

    def __repr__(self) -> str:
        count, choices = self.R.shape
        return (
            f"{type(self).__name__}({count} states, of which {int(self.terminal.sum())} terminal; {choices} actions; "
            f"gamma={self.gamma:g})"
        )

    def outcomes(self, state: int, action: int) -> list[Outcome]:
        """All that may follow on an action: (probability, next state, mean reward)."""
        return list(self._outcomes[state][action])

    def with_gamma(self, gamma: float) -> MDP:
        """The same process under another discount. Raises ValueError as the class does."""
        other = copy.copy(self)
        other.gamma = float(gamma)
        other._check_discount()
        other._check_ends()
        return other

    def policy(self, choice: Any = None) -> Array:
        """A policy π(a|s) as probabilities (S, A): from an action for each state (S,), from probabilities, or uniform.

        A policy is *stationary*: it depends on the present state only. Some optimal policy always is.

        Raises ValueError for actions that there are not, and for rows that are no probabilities.
        """
        count, choices = self.R.shape
        if choice is None:
            return np.full((count, choices), 1 / choices)
        given = np.asarray(choice)
        if given.shape == (count,):
            if not (given == np.floor(given)).all() or given.min() < 0 or given.max() >= choices:
                raise ValueError(f"a policy's actions are 0 to {choices - 1}, got {given.min()} to {given.max()}.")
            return np.eye(choices)[given.astype(int)]
        if given.shape != (count, choices):
            raise ValueError(
                f"a policy is an action for each state ({count},) or probabilities {(count, choices)}, got an array of "
                f"shape {given.shape}."
            )
        wrong = np.flatnonzero((given < 0).any(1) | (abs(given.sum(1) - 1) > ROUNDING))
        if len(wrong):
            row = given[wrong[0]]
            raise ValueError(f"π(·|{self.states[wrong[0]]}) is {row.tolist()}, which is no probability distribution.")
        return given.astype(float)

    def under(self, policy: Any) -> tuple[Array, Array]:
        """What is left when the policy is fixed, a Markov chain: P_π (S, S) = Σₐ π(a|s)·P, and R_π (S,) = Σₐ π(a|s)·R.

        >>> walk = MDP([[[0.5, 0.5]], [[0, 1]]], [[-1.0], [0.0]])
        >>> walk.under(walk.policy())[1]
        array([-1.,  0.])
        """
        pi = self.policy(policy)
        return np.einsum("sa,sat->st", pi, self.P), (pi * self.R).sum(1)

    def unreachable(self) -> list[int]:
        """The states that no policy ever comes to from the start."""
        reached = self.start > 0
        step = np.any(self.P > 0, axis=1)
        while True:
            further = reached | step[reached].any(0)
            if (further == reached).all():
                return np.flatnonzero(~reached).tolist()
            reached = further

    def endless(self, policy: Any = None) -> list[int]:
        """The states from which the episode may never end: under a policy, or, without one, under every policy."""
        leads = np.any(self.P > 0, axis=1) if policy is None else self.under(policy)[0] > 0
        ends = self.terminal.copy()
        while True:
            further = ends | leads[:, ends].any(1)
            if (further == ends).all():
                return np.flatnonzero(~ends).tolist()
            ends = further

    # ------------------------------------------------------------------------------------- acting

    def draw_start(self, random: np.random.Generator) -> int:
        """A first state."""
        return int(random.choice(len(self.start), p=self.start))

    def draw(self, state: int, action: int, random: np.random.Generator) -> tuple[int, float]:
        """What follows on an action: the next state and the reward R_{t+1}."""
        rows = self._outcomes[state][action]
        u, row = random.random(), rows[-1]
        for candidate in rows:
            u -= candidate.probability
            if u < 0:
                row = candidate
                break
        std = self.reward_std[state, action]
        return row.state, row.reward + (std * random.standard_normal() if std else 0.0)

    def simulate(
        self, policy: Any = None, *, start: int | None = None, max_steps: int = 10_000, seed: Any = 0
    ) -> Episode:
        """One episode under a policy (uniform unless given), from `start` or a drawn state.

        It ends in a terminal state, or is cut off after `max_steps`. `seed` is a number or a `numpy.random.Generator`.
        Raises ValueError for a start that is no state.

        >>> walk = MDP([[[0.5, 0.5]], [[0, 1]]], [[-1.0], [0.0]])
        >>> episode = walk.simulate(seed=0)
        >>> episode.states, episode.rewards, episode.discounted_return(1.0)
        ([0, 0, 1], [-1.0, -1.0], -2.0)
        """
        random, pi = np.random.default_rng(seed), self.policy(policy)
        state = self.draw_start(random) if start is None else self._one_state(start)
        episode = Episode([state], [], [], False)
        while not self.terminal[state] and len(episode.actions) < max_steps:
            action = int(random.choice(len(self.actions), p=pi[state]))
            state, reward = self.draw(state, action, random)
            episode.states.append(state)
            episode.actions.append(action)
            episode.rewards.append(reward)
        return episode._replace(terminated=bool(self.terminal[state]))

    def environment(self, *, max_steps: int | None = None) -> TabularEnvironment:
        """The same process behind Gymnasium's interface; episodes are truncated after `max_steps`."""
        from chainrule.rl.environment import TabularEnvironment

        return TabularEnvironment(self, max_steps=max_steps)

    # ------------------------------------------------------------------------------------- checking

    def _check_numbers(self, rewards: Array) -> None:
        self._check_discount()
        wrong = np.argwhere(~np.isfinite(rewards))
        if len(wrong):
            raise ValueError(f"R{wrong[0].tolist()} is {rewards[tuple(wrong[0])]}: rewards are finite numbers.")
        if not (np.isfinite(self.reward_std).all() and (self.reward_std >= 0).all()):
            raise ValueError("reward_std is a standard deviation: finite and not below 0.")

    def _check_discount(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma is a discount in [0, 1], got {self.gamma:g}.")

    def _check_rows(self) -> None:
        wrong = np.argwhere(~(self.P >= 0))
        if len(wrong):
            raise ValueError(f"P{wrong[0].tolist()} is {self.P[tuple(wrong[0])]}: probabilities are not below 0.")
        sums = self.P.sum(2)
        wrong = np.argwhere(~(abs(sums - 1) <= ROUNDING))
        if len(wrong):
            s, a = wrong[0]
            raise ValueError(
                f"P[{s}, {a}] sums to {sums[s, a]:.6g}: the probabilities of what follows on action "
                f"{self.actions[a]} in state {self.states[s]} must sum to 1."
            )

    def _starts(self, start: Any) -> Array:
        count = len(self.terminal)
        if start is None:
            chosen = ~self.terminal if not self.terminal.all() else self.terminal
            return chosen / chosen.sum()
        given = np.asarray(start)
        if given.ndim == 0:
            return np.eye(count)[self._one_state(start)]
        if given.shape != (count,) or (given < 0).any() or abs(given.sum() - 1) > ROUNDING:
            raise ValueError(f"start is one state, or probabilities of shape ({count},) that sum to 1.")
        return given.astype(float)

    def _one_state(self, start: Any) -> int:
        count, given = len(self.terminal), np.asarray(start)
        if given.ndim or given.dtype.kind not in "iuf" or not 0 <= given < count or given != int(given):
            raise ValueError(f"start is a state from 0 to {count - 1}, got {start!r}.")
        return int(given)

    def _check_ends(self) -> None:
        if self.gamma < 1:
            return
        if not self.terminal.any():
            raise ValueError(
                "gamma=1 needs terminal states: without an end the return is a sum that never stops. Name some by "
                "terminal=, or take gamma below 1."
            )
        never = self.endless()
        if never:
            raise ValueError(
                f"gamma=1 needs an end within reach: no action ever leads from {_some(self.states, never)} to a "
                "terminal state. Take gamma below 1, or name these terminal too."
            )

    def _check_reachable(self) -> None:
        lost = self.unreachable()
        if lost and not self.terminal[lost].all():  # a terminal state that nothing leads to harms nobody
            lost = [state for state in lost if not self.terminal[state]]
            warnings.warn(
                f"{_some(self.states, lost)} cannot be reached from the start.", category=UserWarning, stacklevel=3
            )


def _names(names: Sequence[Any] | None, count: int, what: str) -> list[Any]:
    if names is None:
        return list(range(count))
    if len(names) != count:
        raise ValueError(f"there are {count} {what}, but {len(names)} names for them.")
    return list(names)


def _mask(terminal: Any, count: int) -> Array:
    given = np.asarray(terminal)
    if given.dtype == bool and given.shape == (count,):
        return given.copy()
    if given.ndim != 1 or (len(given) and (given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= count)):
        raise ValueError(f"terminal is a mask ({count},) or a list of states from 0 to {count - 1}, got {terminal!r}.")
    mask = np.zeros(count, bool)
    mask[given.astype(int)] = True
    return mask


def _resting(P: Array, rewards: Array) -> Array:
    """The states that every action leaves as they are, without reward."""
    stays = np.stack([P[s, :, s] >= 1 - ROUNDING for s in range(len(P))])
    here = np.stack([rewards[s, :, s] == 0 for s in range(len(P))])
    return (stays & here).all(1)


def _outcomes(probabilities: Array, rewards: Array) -> list[Outcome]:
    return [Outcome(float(probabilities[s]), int(s), float(rewards[s])) for s in np.flatnonzero(probabilities)]


def _merged(rows: list[Outcome]) -> list[Outcome]:
    """Equal outcomes as one."""
    sums: dict[tuple[int, float], float] = {}
    for row in rows:
        sums[row.state, row.reward] = sums.get((row.state, row.reward), 0.0) + row.probability
    return [Outcome(probability, state, reward) for (state, reward), probability in sums.items()]


def _some(names: Sequence[Any], numbers: Sequence[int]) -> str:
    """In words: "state 3", "states 3, 4 and 7 more"."""
    shown = ", ".join(str(names[number]) for number in numbers[:5])
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"state{'s' if len(numbers) > 1 else ''} {shown}{more}"
