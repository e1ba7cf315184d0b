"""What agents must reach: `python -m benchmarks.agent_bars [dqn-cartpole] [ppo-acrobot] … [--seeds 5]`.

Each bar is `chainrule train AGENT --data WORLD` with its defaults from several seeds: the mean, over the seeds, of the
returns of 100 new greedy episodes with the networks that played best. The exit code is 1 if one is missed. LunarLander
needs Gymnasium with Box2D and pygame.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.bars import add_names
from chainrule import rl


class AgentBar(NamedTuple):
    """An agent in a world, and what it must reach.

    Attributes:
        agent, world: by their names.
        least: the mean return.
        seeds: how many; runs are long in LunarLander.
    """

    agent: str
    world: str
    least: float
    seeds: int = 5


BARS = {
    "dqn-cartpole": AgentBar("dqn", "cartpole", 475),
    "a2c-cartpole": AgentBar("a2c", "cartpole", 475),
    "ppo-cartpole": AgentBar("ppo", "cartpole", 475),
    "ppo-acrobot": AgentBar("ppo", "acrobot", -90),
    "dqn-mountaincar": AgentBar("dqn", "mountaincar", -130),
    "sac-pendulum": AgentBar("sac", "pendulum", -170),
    "ppo-lunarlander": AgentBar("ppo", "LunarLander-v3", 200, seeds=1),
}


def measure(bar: AgentBar, seed: int) -> tuple[float, float]:
    """Train; the mean return, and the seconds of the processor that it took."""
    begun = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        outcome = rl.train_agent(bar.agent, bar.world, Path(folder) / "run", seed=seed)
    return outcome.mean, time.process_time() - begun


def main() -> int:
    """Measure, print, and say whether all were reached."""
    parser = argparse.ArgumentParser(description="What agents must reach.")
    add_names(parser, BARS)
    parser.add_argument("--seeds", type=int, help="fewer than the bar has, to try it out")
    options = parser.parse_args()
    missed = 0
    for name in options.names:
        bar = BARS[name]
        found = [measure(bar, seed) for seed in range(options.seeds or bar.seeds)]
        returns, seconds = zip(*found, strict=True)
        mean = sum(returns) / len(returns)
        verdict = "reached" if mean >= bar.least else "MISSED"
        missed += mean < bar.least
        each = ", ".join(f"{value:.1f}" for value in returns)
        print(f"{name}: {mean:.1f} ({each}), bar {bar.least:g} {verdict}, {sum(seconds):.0f} s", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
