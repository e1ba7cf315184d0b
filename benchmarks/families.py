"""A training step of each family of networks against PyTorch: `python -m benchmarks.families`.

Small sizes, float32, the loss the mean of squared outputs, plain gradient descent. Ours is compiled; PyTorch's networks
are those of `tests/torch_networks.py` and `benchmarks/sequences.py`, eager and by `torch.compile`, from the same
weights; the first losses agree. Each competitor is in a process of its own; they take turns. `--only WORD,WORD`
measures the rows that contain one, `--eager` leaves out `torch.compile`, which takes longest, `--json FILE` keeps
the figures. `--threads 1` is for a machine that does other work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import sequences
from benchmarks.measure import Apart, chosen, print_rows, row_options, same_loss, serve_many
from tests import torch_networks
from tests.test_models_images import FAMILIES, gathered, randomised

RATE = 1e-3
BATCH = 16


def ours(name: str) -> Callable[[], float]:
    """Our step, compiled."""
    import chainrule

    model, inputs = network_and_inputs(name)
    optimizer = chainrule.optim.SGD(model.parameters(), lr=RATE)

    @chainrule.compile
    def step(*inputs: Any) -> Any:
        optimizer.zero_grad()
        loss = sum(y.square().mean() for y in gathered(model(*inputs)))
        loss.backward()
        optimizer.step()
        return loss

    tensors = [chainrule.tensor(x) for x in inputs]
    return lambda: step(*tensors).item()


def network_and_inputs(name: str) -> tuple[Any, list[np.ndarray]]:
    """Our network, and what it is called with."""
    import chainrule

    chainrule.manual_seed(0)
    if name in sequences.our_networks():
        return sequences.our_networks()[name](), sequences.tokens_of(name)
    build, _, shape = FAMILIES[name]
    images = np.random.default_rng(0).standard_normal((BATCH, *shape[1:])).astype(np.float32)
    return randomised(build().float()), [images]


def theirs(name: str, compiled: bool) -> Callable[[], float]:
    """PyTorch's step."""
    import torch

    model, inputs = network_and_inputs(name)
    if name in FAMILIES:
        weights = {key: torch.tensor(value.numpy()) for key, value in model.state_dict().items()}
        learned = [weights[key].requires_grad_() for key, _ in model.named_parameters()]
        twin = FAMILIES[name][1]

        def network(x: Any) -> Any:
            return twin(torch_networks.Layers(torch, weights, True), x)
    else:
        network = sequences.their_network(name, model)
        learned = list(network.parameters())
    tensors = [torch.tensor(x) for x in inputs]
    optimizer = torch.optim.SGD(learned, lr=RATE)

    def forward(*inputs: Any) -> Any:
        return sum(y.square().mean() for y in gathered(network(*inputs)))

    run = forward
    if compiled:
        torch._dynamo.reset()  # else it takes the next network of the same code for one with unknown sizes
        run = torch.compile(forward, dynamic=False)

    def step() -> float:
        optimizer.zero_grad()
        loss = run(*tensors)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def agree(name: str) -> None:
    """Both sides' first losses, from the same weights. Raises where they are not the same."""
    same_loss(name, ours(name)(), theirs(name, False)(), 1e-3)


def set_threads(side: str, count: int) -> None:
    """How many threads the side's steps have."""
    if side == "chainrule":
        import chainrule

        chainrule.set_num_threads(count)
    else:
        import torch

        torch.set_num_threads(count)


SIDES: dict[str, Callable[[str], Callable[[], float]]] = {
    "chainrule": ours,
    "pytorch": lambda name: theirs(name, False),
    "pytorch-compiled": lambda name: theirs(name, True),
}


def main() -> None:
    """Measure, and print a row for each family."""
    parser = row_options(__doc__, SIDES)
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.side:
        set_threads(options.side, options.threads)
        serve_many(SIDES[options.side])
        return
    sides = [side for side in SIDES if not (options.eager and side == "pytorch-compiled")]
    threads = ["--threads", str(options.threads)]
    competitors = {side: Apart("benchmarks.families", "--side", side, *threads) for side in sides}
    rows = dict.fromkeys(chosen([*FAMILIES, *sequences.our_networks()], options.only), sides)
    for name in rows:
        agree(name)
    print_rows(competitors, rows, options.rounds, options.json)


if __name__ == "__main__":
    main()
