"""Tokens per second of GPT-2 small's shape, one sequence: chainrule eager, compiled, in 8 and in 4 bits, and PyTorch.

`python -m benchmarks.generation [--tokens 64]`. All continue the same prompt with the same weights, greedily and with
a cache; each is timed after a first run that compiles, and the median of three runs counts. The float32 runs must give
the same tokens as asking for the whole sequence again at each step. PyTorch's are Hugging Face's `generate` and the
same with its static cache and `torch.compile`.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import chainrule
from chainrule import models, nn


def rate(run: Callable[[], Any], tokens: int) -> float:
    """Tokens per second: the median of three runs, after one that is not counted."""
    run()
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return tokens / statistics.median(seconds)


def without_cache(model: models.GPT2, prompt: chainrule.Tensor, tokens: int) -> chainrule.Tensor:
    """The greedy continuation, everything computed again for each token."""
    found = prompt
    with chainrule.no_grad():
        for _ in range(tokens):
            found = chainrule.cat([found, model(found)[:, -1].argmax(-1, keepdim=True)], 1)
    return found


def pytorch_rates(state: dict[str, Any], prompt: np.ndarray, tokens: int, compiled: bool) -> dict[str, float]:
    """Hugging Face's model with the same weights."""
    import torch
    import transformers

    config = transformers.GPT2Config(bos_token_id=None, eos_token_id=None)
    model = transformers.GPT2LMHeadModel(config).eval()
    model.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in state.items()})
    options = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": 0}
    x = torch.tensor(prompt)
    found = {"PyTorch, eager": rate(lambda: model.generate(x, **options), tokens)}
    if compiled:
        static = {**options, "cache_implementation": "static"}
        model.forward = torch.compile(model.forward)
        found["PyTorch, compiled"] = rate(lambda: model.generate(x, **static), tokens)
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Tokens per second.")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pytorch", choices=("no", "eager", "compiled"), default="compiled")
    options = parser.parse_args()
    chainrule.manual_seed(0)
    model = models.GPT2().eval()
    prompt = np.random.default_rng(0).integers(0, 50257, (1, 16))
    x, tokens = chainrule.tensor(prompt), options.tokens

    def run(network: models.GPT2, compile: bool) -> Callable[[], chainrule.Tensor]:
        return lambda: network.generate(x, tokens, temperature=0, compile=compile)

    expected = without_cache(model, x, tokens)
    for compile in (False, True):
        assert chainrule.equal(run(model, compile)(), expected), "the cache changes what is generated"
    found = {"chainrule, eager": rate(run(model, False), tokens), "chainrule, compiled": rate(run(model, True), tokens)}
    for bits in (8, 4):
        small = copy.deepcopy(model)
        nn.quantize(small, bits)
        found[f"chainrule, {bits} bits, compiled"] = rate(run(small, True), tokens)
    if options.pytorch != "no":
        found |= pytorch_rates(model.state_dict(), prompt, tokens, options.pytorch == "compiled")
    for name, value in found.items():
        print(f"{name:30} {value:7.1f} tokens/s")


if __name__ == "__main__":
    main()
