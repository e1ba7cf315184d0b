"""Tokens per second of GPT-2 small's shape, one sequence: chainrule eager, compiled, in 8 and in 4 bits, and PyTorch.

`python -m benchmarks.generation [--tokens 64]`. All continue the same prompt with the same weights, greedily and with
a cache, in turn within one process, on one thread each, whose processor time counts: other programs on the machine
change it little. (`--threads` takes more, and the clock.) A row has the median of the rounds, and the median of our
compiled run's rate over it. The float32 runs must give the same tokens as asking for the whole sequence again at each
step. PyTorch's are Hugging Face's `generate` and the same with its static cache and `torch.compile`.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import chainrule
from chainrule import models, nn

Runs = dict[str, Callable[[], Any]]


def without_cache(model: models.GPT2, prompt: chainrule.Tensor, tokens: int) -> chainrule.Tensor:
    """The greedy continuation, everything computed again for each token."""
    found = prompt
    with chainrule.no_grad():
        for _ in range(tokens):
            found = chainrule.cat([found, model(found)[:, -1].argmax(-1, keepdim=True)], 1)
    return found


def pytorch_runs(state: dict[str, Any], prompt: np.ndarray, tokens: int, compiled: bool) -> Runs:
    """Hugging Face's model with the same weights."""
    import transformers

    config = transformers.GPT2Config(bos_token_id=None, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in state.items()})
    options = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}
    x = torch.tensor(prompt)
    found = {"PyTorch, eager": lambda: model.generate(x, **options)}
    if compiled:
        static, faster = {**options, "cache_implementation": "static"}, copy.copy(model)
        faster.forward = torch.compile(model.forward)
        found["PyTorch, compiled"] = lambda: faster.generate(x, **static)
    return found


def measured(runs: Runs, rounds: int, threads: int) -> dict[str, list[float]]:
    """The seconds of each, in turn."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    for run in runs.values():
        for _ in range(2):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = clock()
            run()
            seconds[name].append(clock() - begin)
    return seconds


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Tokens per second.")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="with more, idle ones of either slow the other down")
    parser.add_argument("--pytorch", choices=("no", "eager", "compiled"), default="compiled")
    options = parser.parse_args()
    chainrule.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    chainrule.manual_seed(0)
    model = models.GPT2().eval()
    prompt = np.random.default_rng(0).integers(0, 50257, (1, 16))
    x, tokens = chainrule.tensor(prompt), options.tokens

    def run(network: models.GPT2, compile: bool) -> Callable[[], chainrule.Tensor]:
        return lambda: network.generate(x, tokens, temperature=0, compile=compile)

    runs: Runs = {"chainrule, compiled": run(model, True), "chainrule, eager": run(model, False)}
    expected = without_cache(model, x, tokens)
    for name, generate in runs.items():
        assert chainrule.equal(generate(), expected), f"{name}: the cache changes what is generated"
    small = {bits: copy.deepcopy(model) for bits in (8, 4)}
    for bits, network in small.items():
        nn.quantize(network, bits)
        runs[f"chainrule, {bits} bits, compiled"] = run(network, True)
    if options.pytorch != "no":
        runs |= pytorch_runs(model.state_dict(), prompt, tokens, options.pytorch == "compiled")
    seconds = measured(runs, options.rounds, options.threads)
    ours = seconds["chainrule, compiled"]
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, ours, strict=True))
        print(f"{name:30} {tokens / statistics.median(times):7.1f} tokens/s  ({ratio:.2f})")


if __name__ == "__main__":
    main()
