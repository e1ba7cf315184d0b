"""Answers without gradients, one at a time and 32 at once: ResNet-18, a decoder, text token by token with the cache.

`python -m benchmarks.inference [--rounds 9] [--compiled]`. chainrule compiled against PyTorch eager (and
torch.compile), same weights, in turn within one process, on one thread each, whose processor time counts: other
programs on the machine change it little. (`--threads` takes more, and the clock.) A row is the median of each, in
milliseconds, and the median of PyTorch's time over ours.
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
from benchmarks.steps import torch_side, workloads

#: Tokens that a text is continued by, and those that it begins with.
TOKENS, PROMPT = 64, 16


def ours(name: str, weights: dict[str, Any]) -> Any:
    """Our model with these weights, evaluating."""
    model = workloads.WORKLOADS[name].model()
    model.load_state_dict({key: chainrule.tensor(array) for key, array in weights.items()})
    return model.eval()


class Cached:
    """PyTorch's decoder continuing greedily: keys and values of earlier tokens are kept in memory made beforehand."""

    def __init__(self, model: torch_side.Decoder, batch: int, capacity: int) -> None:
        self.model = model
        self.caches = [torch.zeros(2, batch, 4, capacity, 32) for _ in range(4)]

    def generate(self, prompt: Any) -> Any:
        """The prompt and its continuation."""
        found, new = prompt, prompt
        for _ in range(TOKENS):
            scores = self.model(new, found.shape[1] - new.shape[1], self.caches)
            new = scores[:, -1].argmax(-1, keepdim=True)
            found = torch.cat([found, new], 1)
        return found


def runs(batch: int, compiled: bool) -> dict[str, dict[str, Callable[[], Any]]]:
    """What is measured: for each task a function for each framework, all with the same answer."""
    answer: dict[str, dict[str, Callable[[], Any]]] = {}
    for name in ("resnet18", "transformer"):
        weights, x, _ = workloads.start_of(name)
        x = np.concatenate([x, x])[:batch]
        model, theirs = chainrule.compile(ours(name, weights)), torch_side.model_of(name, weights).eval()
        mine, other = chainrule.tensor(x), torch.tensor(x)
        row: dict[str, Callable[[], Any]] = {
            "chainrule": lambda model=model, mine=mine: model(mine).numpy(),
            "PyTorch": lambda theirs=theirs, other=other: theirs(other).numpy(),
        }
        if compiled:
            faster = torch.compile(theirs)
            row["torch.compile"] = lambda faster=faster, other=other: faster(other).numpy()
        answer[f"{name}, batch {batch}"] = row
    weights, x, _ = workloads.start_of("transformer")
    prompt = np.concatenate([x, x])[:batch, :PROMPT]
    model, cached = ours("transformer", weights), Cached(torch_side.Decoder(weights), batch, PROMPT + TOKENS)
    mine, other = chainrule.tensor(prompt), torch.tensor(prompt)
    row = answer[f"decoder, {TOKENS} tokens with the cache, batch {batch}"] = {
        "chainrule": lambda: model.generate(mine, TOKENS, temperature=0, compile=True).numpy(),
        "PyTorch": lambda: cached.generate(other).numpy(),
    }
    if compiled:
        faster = copy.copy(cached)
        faster.model = torch.compile(cached.model, dynamic=True)  # one program for all places
        row["torch.compile"] = lambda faster=faster: faster.generate(other).numpy()
    return answer


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Inference, in milliseconds.")
    parser.add_argument("--threads", type=int, default=1, help="with more, idle ones of either slow the other down")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compiled", action="store_true", help="with torch.compile")
    options = parser.parse_args()
    chainrule.set_num_threads(options.threads)
    torch.set_num_threads(options.threads)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    with chainrule.no_grad(), torch.no_grad():
        for batch in (1, 32):
            for task, row in runs(batch, options.compiled).items():
                for run in row.values():
                    for _ in range(8):  # a compiled function is looked at anew in its calls 2, 4 and 8
                        run()
                first = {name: run() for name, run in row.items()}
                for found in first.values():
                    np.testing.assert_allclose(found, first["chainrule"], rtol=1e-3, atol=1e-3)
                seconds: dict[str, list[float]] = {name: [] for name in row}
                for _ in range(options.rounds):
                    for name, run in row.items():
                        begin = clock()
                        run()
                        seconds[name].append(clock() - begin)
                text = f"{task:48}"
                for name, times in seconds.items():
                    ratio = statistics.median(t / o for t, o in zip(times, seconds["chainrule"], strict=True))
                    text += f"  {name} {1e3 * statistics.median(times):.2f} ({ratio:.2f})"
                print(text, flush=True)


if __name__ == "__main__":
    main()
