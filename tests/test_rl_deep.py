"""Deep agents: what is cut off goes on in value and what has ended does not, memories, advantages, resuming, learning."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, rl
from chainrule.errors import CheckpointError
from chainrule.rl.deep.rollout import Rollout, advantages

AGENTS = {"dqn": rl.DQN, "reinforce": rl.REINFORCE, "a2c": rl.A2C, "ppo": rl.PPO, "sac": rl.SAC}
#: Small and quick.
SMALL: dict[str, dict[str, Any]] = {
    "dqn": {"hidden": (16,), "warmup": 40, "train_every": 1, "batch_size": 16, "memory": 500, "target_every": 20},
    "reinforce": {"hidden": (16,), "pad": 64},
    "a2c": {"hidden": (16,), "length": 8},
    "ppo": {"hidden": (16,), "length": 16, "batch_size": 32, "epochs": 2},
    "sac": {"hidden": (16,), "warmup": 40, "batch_size": 16, "memory": 500, "tau": 0.05},
}
WORLD = {name: "pendulum" if name == "sac" else "cartpole" for name in AGENTS}


def agent(name: str, *, compile: bool = False, world: str = "", seed: int = 1, **more: Any) -> Any:
    worlds = rl.make_vector(world or WORLD[name], 2, max_steps=30)
    return AGENTS[name](worlds, AGENTS[name].Settings(**{**SMALL[name], **more}), seed=seed, compile=compile)


class Ticking(rl.Environment):
    """Sees nothing, does nothing, earns 1 a step; ends by itself after `ends` steps, or is cut off after 3."""

    def __init__(self, ends: int, vectors: bool) -> None:
        super().__init__(max_steps=3)
        self.ends = ends
        self.observation_space = rl.Box([-1.0], [1.0])
        self.action_space = rl.Box([-1.0], [1.0]) if vectors else rl.Discrete(2)

    def begin(self, options: Any) -> Any:
        return np.zeros(1, np.float32)

    def move(self, action: Any) -> Any:
        return np.zeros(1, np.float32), 1.0, self.steps + 1 >= self.ends


def value_of(found: Any) -> float:
    """What the agent believes the one state to be worth."""
    row = chainrule.zeros(1, 1)
    with chainrule.no_grad():
        if found.name == "dqn":
            return float(found.online(row).mean().item())
        if found.name == "sac":
            action = chainrule.zeros(1, 1)
            return float(found.critics[0](chainrule.cat([row, action], 1)).item())
        return float(found.value(row).item())


@pytest.mark.parametrize("name", AGENTS)
def test_truncated_episodes_bootstrap_and_terminated_ones_do_not(name: str) -> None:
    """γ = ½ and 1 a step: 2 if nothing ends but is cut off after 3 steps; 1 if each step is the last.

    Taking both for the same would give at most 1.75, and more than 1.
    """
    for ends, worth in ((10**9, 2.0), (1, 1.0)):
        worlds = rl.SideBySide([Ticking(ends, name == "sac") for _ in range(4)])
        more = {"gamma": 0.5, "learning_rate": 1e-2, "steps": 10**6, "hidden": (8,)}
        found = AGENTS[name](worlds, AGENTS[name].Settings(**{**SMALL[name], **more}), compile=True)
        if name == "sac":  # entropy is no reward here
            with chainrule.no_grad():
                found.temperature.log.fill_(-20.0)
            found.optimizers[2].param_groups[0]["lr"] = 0.0
        while found.updates < 400:
            found.advance()
        assert value_of(found) == pytest.approx(worth, abs=0.1), ends


# ------------------------------------------------------------------------------------- parts


def test_advantages_by_the_definition() -> None:
    """A_t = Σ (γλ)ᵏ·δ_{t+k} up to the end of the episode, added up anew for each step."""
    random = np.random.default_rng(0)
    T, N, gamma, lambda_ = 12, 3, 0.9, 0.7
    rewards, values, following = random.normal(size=(3, T, N))
    terminated = random.random((T, N)) < 0.2
    over = terminated | (random.random((T, N)) < 0.2)
    none = np.zeros((T, N))
    found = advantages(Rollout(none, none, none, rewards, terminated, over), values, following, gamma, lambda_)
    for t, n in np.ndindex(T, N):
        total, factor = 0.0, 1.0
        for k in range(t, T):
            delta = rewards[k, n] - values[k, n] + (0 if terminated[k, n] else gamma * following[k, n])
            total += factor * delta
            factor *= gamma * lambda_
            if over[k, n]:
                break
        assert found[t, n] == pytest.approx(total, rel=1e-12)


def steps(count: int, first: int = 0) -> tuple[np.ndarray, ...]:
    numbers = np.arange(first, first + count)
    rows = np.stack([numbers, -numbers], 1).astype(np.float32)
    return rows, numbers % 3, numbers * 0.5, numbers % 2 == 0, rows + 1


def test_a_memory_forgets_the_oldest_and_draws_evenly() -> None:
    memory = rl.Replay(10, 2, (), np.int64)
    for first in range(0, 25, 5):
        memory.add(*steps(5, first))
    batch = memory.draw(20_000, np.random.default_rng(0))
    numbers = batch.seen[:, 0].astype(int)
    counts = np.bincount(numbers, minlength=25)
    assert counts[:15].sum() == 0 and abs(counts[15:] - 2000).max() < 5 * np.sqrt(2000)
    for array, expected in zip(batch[:5], (steps(25)[0], steps(25)[4], *steps(25)[1:4])):
        np.testing.assert_array_equal(array, expected[numbers].astype(array.dtype))
    with pytest.raises(ValueError, match="the memory is empty"):
        rl.Replay(10, 2, (), np.int64).draw(1, np.random.default_rng(0))


def test_priorities_bend_the_draw_and_weights_undo_it() -> None:
    memory = rl.PrioritisedReplay(13, 2, (), np.int64, alpha=0.5, beta=1.0)
    memory.add(*steps(10))
    errors = np.arange(1.0, 11.0)
    memory.update(np.arange(10), errors)
    batch = memory.draw(40_000, np.random.default_rng(0))
    shares = np.sqrt(errors + 1e-6) / np.sqrt(errors + 1e-6).sum()
    counts = np.bincount(batch.places, minlength=10)
    np.testing.assert_allclose(counts / 40_000, shares, atol=0.01)
    np.testing.assert_allclose(batch.weights, (1 / shares / (1 / shares).max())[batch.places], rtol=1e-5)
    # with β = 1 the weighted mean is the plain one
    mean = (batch.weights * batch.rewards).sum() / batch.weights.sum()
    assert mean == pytest.approx(np.mean(steps(10)[2]), abs=0.05)
    other = rl.PrioritisedReplay(13, 2, (), np.int64, alpha=0.5)
    other.load_state_dict(memory.state_dict())
    np.testing.assert_array_equal(
        other.draw(50, np.random.default_rng(1)).places, memory.draw(50, np.random.default_rng(1)).places
    )


def test_policies_know_their_probabilities() -> None:
    """Choices add up to 1; vectors' densities are SciPy's; drawn actions come as often as they should."""
    stats = pytest.importorskip("scipy.stats")
    found = agent("a2c", world="pendulum")
    rows, actions = np.zeros((5, 3), np.float32), np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    logs, entropy = found.policy.judge(chainrule.as_tensor(rows), chainrule.as_tensor(actions))
    mean, log_std = (part.detach().numpy() for part in found.policy(chainrule.as_tensor(rows)))
    normal = stats.norm(mean[:, 0], np.exp(log_std[0]))
    np.testing.assert_allclose(logs.detach().numpy(), normal.logpdf(actions[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(entropy.detach().numpy(), normal.entropy(), rtol=1e-5)
    choices = agent("a2c")
    logs = np.log(np.array([[0.1, 0.6, 0.3]]))
    noise = choices.random.random((20_000, 3))
    drawn = rl.deep.networks.gumbel_choice(logs, noise)
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, [0.1, 0.6, 0.3], atol=0.02)


def test_the_squashed_density_integrates_to_one() -> None:
    policy = rl.deep.sac.SquashedGaussian(1, (4,), 1)
    noise = chainrule.linspace(-8, 8, 4001)[:, None]
    actions, logs = (part.detach().numpy() for part in policy.draw(chainrule.zeros(4001, 1), noise))
    inside = abs(actions[:, 0]) < 1 - 1e-5
    assert np.trapezoid(np.exp(logs[inside]), actions[inside, 0]) == pytest.approx(1, abs=0.02)


GLANCES: dict[str, tuple[str, dict[str, Any]]] = {
    "dqn": ("dqn", {}), "duelling": ("dqn", {"duelling": True, "hidden": (16, 8)}), "choices": ("ppo", {}),
    "vectors": ("ppo", {"world": "pendulum"}), "squashed": ("sac", {}),
}  # fmt: skip


@pytest.mark.parametrize(("name", "more"), GLANCES.values(), ids=GLANCES)
def test_a_glance_is_what_the_network_says_before_and_after_learning(name: str, more: dict[str, Any]) -> None:
    found = agent(name, **more, compile=True)
    network = found.online if name == "dqn" else found.policy
    glance = network.glance()
    rows = np.random.default_rng(0).normal(size=(7, found.sight.size)).astype(np.float32)
    other = agent(name, **more, seed=9)

    def check() -> None:
        expected, seen = network(chainrule.as_tensor(rows)), glance(rows)
        if isinstance(seen, tuple):
            for a, b in zip(seen, expected, strict=True):
                np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-5, atol=1e-6)
            return
        if name == "ppo":  # scores: the same policy, up to a number for each row
            seen = seen - np.log(np.exp(seen).sum(1, keepdims=True))
        np.testing.assert_allclose(seen, expected.detach().numpy(), rtol=1e-5, atol=1e-6)

    check()
    before = glance(rows)
    while found.updates < 3:
        found.advance()
    check()
    assert not np.array_equal(before[0], glance(rows)[0])
    found.load_weights(other.weights())
    check()


def test_a_glance_at_layers_it_does_not_know_is_refused() -> None:
    from chainrule.rl.deep.glance import glance

    for layer in (nn.GELU(), nn.Linear(2, 2, bias=False), nn.Dropout()):
        with pytest.raises(TypeError, match=r"knows Linear with a bias, ReLU and Tanh; the network has"):
            glance([nn.Linear(2, 2), layer])


@pytest.mark.parametrize("name", ["double", "duelling", "prioritised"])
def test_extensions_of_dqn_learn_too(name: str) -> None:
    found = agent("dqn", **{name: True}, compile=True)
    while found.updates < 60:
        found.advance()
    assert np.isfinite(found.figures["loss"])
    if name == "duelling":  # q − mean q is the advantage, whose mean is 0
        q = found.online(chainrule.randn(7, 4))
        torso = found.online.torso(chainrule.zeros(7, 4))
        assert q.shape == (7, 2) and torso.shape == (7, 16)


def test_double_chooses_with_one_network_and_judges_with_the_other() -> None:
    """The error that comes back from a step: y by hand from both networks."""
    for double in (False, True):
        found = agent("dqn", double=double, learning_rate=0.0)
        with chainrule.no_grad():
            for parameter in found.target.parameters():
                parameter.copy_(chainrule.randn(*parameter.shape))
        seen, following = chainrule.randn(6, 4), chainrule.randn(6, 4)
        actions, rewards = chainrule.tensor([0, 1] * 3), chainrule.randn(6)
        ended = chainrule.tensor([0.0, 0, 0, 1, 1, 1])
        q, q2, old = (
            part.detach().numpy() for part in (found.online(seen), found.online(following), found.target(following))
        )
        best = old[np.arange(6), q2.argmax(1)] if double else old.max(1)
        y = rewards.numpy() + 0.99 * (1 - ended.numpy()) * best
        errors = found._learn(seen, actions, rewards, ended, following, chainrule.ones(6))[2].numpy()
        np.testing.assert_allclose(errors, q[np.arange(6), actions.numpy()] - y, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------- whole agents


def weights(found: Any) -> list[np.ndarray]:
    return [tensor.numpy() for part in found.weights().values() for tensor in part.values()]


@pytest.mark.parametrize("name", AGENTS)
def test_a_saved_agent_goes_on_bit_for_bit(name: str) -> None:
    """Saved to a file in the middle and loaded by a new agent: the same weights, episodes and random numbers after."""
    first = agent(name)
    for _ in range(60 if name in ("dqn", "sac") else 4):
        first.advance()
    file = io.BytesIO()
    chainrule.save(first.state_dict(), file)
    second = agent(name, seed=7)
    second.load_state_dict(chainrule.load(io.BytesIO(file.getvalue())))
    for found in (first, second):
        for _ in range(30 if name in ("dqn", "sac") else 3):
            found.advance()
    assert first.steps == second.steps and first.finished == second.finished and first.updates == second.updates > 0
    assert all((a == b).all() for a, b in zip(weights(first), weights(second), strict=True))


@pytest.mark.parametrize("name", AGENTS)
def test_compiled_and_eager_agents_learn_the_same(name: str) -> None:
    found = [agent(name, compile=compile) for compile in (False, True)]
    for each in found:
        for _ in range(30 if name in ("dqn", "sac") else 2):
            each.advance()
    assert found[0].updates == found[1].updates > 0
    for a, b in zip(*map(weights, found), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)


def test_states_of_other_agents_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no state of the agent dqn, whose parts are online, target"):
        agent("dqn").load_state_dict(agent("ppo").state_dict())


def spoilt(state: dict[str, Any], *path: Any, value: Any = None) -> dict[str, Any]:
    """A copy of a state with another entry at a place; without a value, without the entry."""
    copied = copy.deepcopy(state)
    place = copied
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return copied


@pytest.mark.parametrize(
    ("name", "other", "path", "value", "says"),
    [
        ("ppo", {"hidden": (8,)}, (), None, r"shape"),
        ("dqn", {"memory": 30}, (), None, r"room for 500 steps|room for 30 steps"),
        ("dqn", {"prioritised": True}, (), None, r"goes by priorities, and the checkpoint has none"),
        ("dqn", {}, ("parts", "memory", "steps", "rewards"), np.zeros(2, np.float32), r"rewards of 60 steps .*\(2,\)"),
        ("dqn", {}, ("steps",), "many", r"steps is 60 here, in the checkpoint 'many'"),
        ("ppo", {}, ("steps",), -5, r"steps in the checkpoint is a whole number, got -5"),
        ("ppo", {}, ("updates",), None, r"lacks updates; is it another agent's"),
        ("ppo", {}, ("worlds", "steps"), np.zeros(3, int), r"worlds\.steps has the shape \(2,\) here.*as many worlds"),
        ("ppo", {}, ("worlds", "state"), None, r"lacks worlds\.state"),
        ("ppo", {}, ("finished",), [3], r"a list of \(step, return, length\)"),
        ("sac", {}, ("parts", "optimizer 2"), {"state": {}}, r"optimiser"),
        ("sac", {}, ("parts", "temperature"), {"log": chainrule.zeros(2)}, r"shape"),
        ("sac", {}, ("random", "state", "state"), "x", r"random\.state\.state is \d+"),
        ("sac", {}, ("generator",), chainrule.zeros(3), r"does not fit: ShapeError: a generator's state is int64"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_half_loaded(
    name: str, other: dict[str, Any], path: tuple[Any, ...], value: Any, says: str
) -> None:
    """The agent goes on as one that was never offered the state."""
    saved, found, alone = agent(name), agent(name, seed=4, **other), agent(name, seed=4, **other)
    for each in (saved, found, alone):
        while each.steps < 60:
            each.advance()
    state = spoilt(saved.state_dict(), *path, value=value) if path else saved.state_dict()
    with pytest.raises(CheckpointError, match=says):
        found.load_state_dict(state)
    for each in (found, alone):
        while each.steps < 100:
            each.advance()
    assert found.finished == alone.finished and found.updates == alone.updates > 0
    assert all((a == b).all() for a, b in zip(weights(found), weights(alone), strict=True))


def test_weights_of_others_are_refused_and_none_are_taken() -> None:
    found = agent("ppo")
    before = weights(found)
    other = agent("ppo", seed=9).weights()
    for wrong in ({"policy": other["policy"]}, {**other, "value": agent("ppo", hidden=(8,)).weights()["value"]}):
        with pytest.raises(CheckpointError):
            found.load_weights(wrong)
    assert all((a == b).all() for a, b in zip(before, weights(found), strict=True))


@pytest.mark.parametrize(
    ("name", "world", "says"),
    [
        (
            "dqn",
            "pendulum",
            r"dqn acts by choices, this environment wants Box.*take sac, ppo or a2c|dqn acts by choices",
        ),
        ("sac", "cartpole", r"sac acts by vectors, this environment wants Discrete\(2\)"),
    ],
)
def test_worlds_that_do_not_fit(name: str, world: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        agent(name, world=world)
    with pytest.raises(ValueError, match="not whole batches of 33"):
        agent("ppo", batch_size=33)


@pytest.mark.parametrize("name", ["dqn", "ppo", "a2c", "reinforce"])
def test_agents_find_the_shortest_way(name: str) -> None:
    """On a corridor whose end pays: the greedy agent walks straight there."""
    grid = rl.Gridworld((1, 4), terminals=[(0, 3)], start=(0, 0), gamma=0.9)
    worlds = rl.SideBySide([grid.environment(max_steps=20) for _ in range(4)])
    more = {"steps": 4000, "learning_rate": 5e-3, "gamma": 0.9}
    found = AGENTS[name](worlds, AGENTS[name].Settings(**{**SMALL[name], **more}), seed=0)
    while found.steps < 4000:
        found.advance()
    assert found.act(np.array([0, 1, 2])).tolist() == [1, 1, 1]
