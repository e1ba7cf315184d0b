"""Learning steps of agents against the same algorithm in PyTorch: `python -m benchmarks.agents`.

A learning step is what an agent does with one batch: DQN with a second network that judges, PPO with its clipped
objective, SAC with two critics, policy and temperature. Ours is the one that `chainrule.rl` trains with. PyTorch's is
written below as single-file agents of the field have it: eager, since that is how they are run, and compiled by
`torch.compile`. "world" is a step in one CartPole as the agent takes it, with its look at the network: ours, and
Gymnasium's with PyTorch. Each side is in a process of its own; the sides take turns; sizes are the agents' defaults.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Apart, compare_apart, serve_many

SIDES = {"chainrule": "chainrule", "PyTorch, eager": "eager", "PyTorch, compiled": "compiled"}
ROWS = ("dqn", "ppo", "sac", "world")
#: Observations and actions of CartPole; of Pendulum.
CHOICES, VECTORS = (4, 2), (3, 1)


def batch(name: str) -> tuple[np.ndarray, ...]:
    """Random numbers in the shapes that the agent learns from."""
    random = np.random.default_rng(0)
    size, seen = {"dqn": (64, 4), "ppo": (128, 4), "sac": (256, 3)}[name]
    rows, following = random.standard_normal((2, size, seen)).astype(np.float32)
    rewards, ended = random.random(size).astype(np.float32), (random.random(size) < 0.05).astype(np.float32)
    choices = random.integers(0, 2, size)
    if name == "dqn":
        return rows, choices, rewards, ended, following, np.ones(size, np.float32)
    if name == "ppo":
        gains, goals = random.standard_normal((2, size)).astype(np.float32)
        return rows, choices, np.full(size, -0.7, np.float32), gains, goals
    return rows, random.uniform(-1, 1, (size, 1)).astype(np.float32), rewards, ended, following


def ours(name: str) -> Callable[[], object]:
    """The library's own step."""
    import chainrule
    from chainrule import rl

    if name == "world":
        agent = rl.DQN(rl.make_vector("cartpole", 1), rl.DQN.Settings(warmup=10**9))
        return lambda: agent.step_worlds(agent._choose(agent.seen, 0.5))
    made: Any = {
        "dqn": lambda: rl.DQN(rl.make_vector("cartpole", 1)),
        "ppo": lambda: rl.PPO(rl.make_vector("cartpole", 4)),
        "sac": lambda: rl.SAC(rl.make_vector("pendulum", 1)),
    }[name]()
    arrays = batch(name)

    def learn() -> object:
        return made._learn(*map(chainrule.as_tensor, arrays))

    for _ in range(100):  # the first calls are traced again and again, to see that the step still means the same
        learn()
    return learn


def perceptron(inputs: int, hidden: tuple[int, ...], outputs: int, activation: Any) -> Any:
    """Linear layers with an activation between them, of PyTorch."""
    from torch import nn

    sizes, layers = [inputs, *hidden], []
    for one, other in itertools.pairwise(sizes):
        layers += [nn.Linear(one, other), activation()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


def torch_dqn() -> Callable[..., Any]:
    """Double DQN with Huber's loss."""
    import torch
    from torch import nn

    online, target = (perceptron(4, (128, 128), 2, nn.ReLU) for _ in range(2))
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-3)

    def learn(seen: Any, actions: Any, rewards: Any, ended: Any, following: Any, weights: Any) -> Any:
        with torch.no_grad():
            chosen = online(following).argmax(1, keepdim=True)
            y = rewards + 0.99 * (1 - ended) * target(following).gather(1, chosen)[:, 0]
        q = online(seen).gather(1, actions[:, None])[:, 0]
        loss = (weights * nn.functional.smooth_l1_loss(q, y, reduction="none")).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(online.parameters(), 10.0)
        optimizer.step()
        return loss.detach()

    return learn


def torch_ppo() -> Callable[..., Any]:
    """The clipped objective, with a categorical policy."""
    import torch
    from torch import nn
    from torch.distributions import Categorical

    policy, value = perceptron(4, (64, 64), 2, nn.Tanh), perceptron(4, (64, 64), 1, nn.Tanh)
    parameters = [*policy.parameters(), *value.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-5)

    def learn(seen: Any, actions: Any, old: Any, gains: Any, goals: Any) -> Any:
        choices = Categorical(logits=policy(seen), validate_args=False)
        gains = (gains - gains.mean()) / (gains.std() + 1e-8)
        ratio = (choices.log_prob(actions) - old).exp()
        policy_loss = -torch.minimum(ratio * gains, ratio.clamp(0.8, 1.2) * gains).mean()
        value_loss = 0.5 * ((value(seen)[:, 0] - goals) ** 2).mean()
        loss = policy_loss + 0.5 * value_loss - 0.0 * choices.entropy().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        return loss.detach()

    return learn


def torch_sac() -> Callable[..., Any]:
    """Two critics and their targets, the policy, the temperature."""
    import torch
    from torch import nn
    from torch.distributions import Normal

    policy = perceptron(3, (64, 64), 2, nn.ReLU)
    critics, targets = (nn.ModuleList([perceptron(4, (64, 64), 1, nn.ReLU) for _ in range(2)]) for _ in range(2))
    log_alpha = nn.Parameter(torch.zeros(()))
    optimizers = [torch.optim.Adam(p, lr=1e-3) for p in (critics.parameters(), policy.parameters(), [log_alpha])]

    def draw(seen: Any) -> tuple[Any, Any]:
        means, log_std = policy(seen).chunk(2, 1)
        normal = Normal(means, log_std.clamp(-5, 2).exp(), validate_args=False)
        u = normal.rsample()
        slope = 2 * (np.log(2) - u - nn.functional.softplus(-2 * u))
        return u.tanh(), (normal.log_prob(u) - slope).sum(1)

    def smaller(pair: Any, seen: Any, actions: Any) -> Any:
        together = torch.cat([seen, actions], 1)
        return torch.minimum(pair[0](together), pair[1](together))[:, 0]

    def learn(seen: Any, actions: Any, rewards: Any, ended: Any, following: Any) -> Any:
        alpha = log_alpha.exp().detach()
        with torch.no_grad():
            next_actions, next_logs = draw(following)
            y = rewards + 0.99 * (1 - ended) * (smaller(targets, following, next_actions) - alpha * next_logs)
        together = torch.cat([seen, actions], 1)
        loss: Any = sum(((critic(together)[:, 0] - y) ** 2).mean() for critic in critics)
        drawn, logs = None, None
        for which, optimizer in enumerate(optimizers):
            if which == 1:
                drawn, logs = draw(seen)
                loss = (alpha * logs - smaller(critics, seen, drawn)).mean()
            elif which == 2:
                loss = log_alpha * (1 - logs.detach().mean())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            for old, new in zip(targets.parameters(), critics.parameters(), strict=True):
                old.lerp_(new, 0.005)
        return loss.detach()

    return learn


def torch_world() -> Callable[[], object]:
    """A step of Gymnasium's CartPole, chosen by a network in half of them."""
    import gymnasium
    import torch

    network = perceptron(4, (128, 128), 2, torch.nn.ReLU)
    worlds = gymnasium.make_vec("CartPole-v1", 1)
    random, seen = np.random.default_rng(0), [worlds.reset(seed=0)[0]]

    def step() -> None:
        with torch.no_grad():
            best = network(torch.as_tensor(seen[0])).argmax(1).numpy()
        actions = best if random.random() > 0.5 else random.integers(0, 2, 1)
        seen[0] = worlds.step(actions)[0]

    return step


def theirs(name: str, compiled: bool) -> Callable[[], object]:
    """PyTorch's step."""
    import torch

    torch.manual_seed(0)
    if name == "world":
        return torch_world()
    learn = {"dqn": torch_dqn, "ppo": torch_ppo, "sac": torch_sac}[name]()
    learn = torch.compile(learn) if compiled else learn
    tensors = [torch.from_numpy(array) for array in batch(name)]
    return lambda: learn(*tensors)


def main() -> None:
    """Measure all rows and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        side = options.serve
        serve_many(ours if side == "chainrule" else lambda name: theirs(name, side == "compiled"))
        return
    workers = {title: Apart("benchmarks.agents", "--serve", side) for title, side in SIDES.items()}
    table = Table("step", *(f"{title}, µs" for title in SIDES), "gain over eager", "over compiled")
    for row in ROWS if options.only is None else (options.only,):
        found = compare_apart(workers, options.rounds, row)
        times = [f"{found.milliseconds[title] * 1e3:.0f}" for title in SIDES]
        gains = [f"{1 / found.ratio[title]:.2f}" for title in list(SIDES)[1:]]
        table.add_row(row, *times, *gains)
    for worker in workers.values():
        worker.close()
    Console().print(table)


if __name__ == "__main__":
    main()
