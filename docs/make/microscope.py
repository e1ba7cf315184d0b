"""The figures of docs/microscope.md, and the texts on it.

`python -m docs.make.microscope` draws docs/figures/microscope_*.svg and prints the kernels of the compiled step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chainrule
from chainrule import nn
from chainrule.backends.native.profile import Profile
from chainrule.explain import Explanation
from chainrule.explain.timeline import timeline_of

FIGURES = Path(__file__).parents[1] / "figures"


def product_of_a_sum() -> Explanation:
    """f = (x + y) z at (−2, 5, −4)."""
    return chainrule.explain(lambda x, y, z: (x + y) * z, -2.0, 5.0, -4.0)


def neuron() -> Explanation:
    """A sigmoid neuron with two inputs."""

    def output(w0: Any, x0: Any, w1: Any, x1: Any, w2: Any) -> Any:
        return chainrule.sigmoid(w0 * x0 + w1 * x1 + w2)

    return chainrule.explain(output, 2.0, -1.0, -3.0, -2.0, -3.0)


def through_time() -> Explanation:
    """Three steps of a recurrent network: one weight, three paths."""

    def third_state(w: Any, h0: Any) -> Any:
        h = h0
        for x in (0.3, -0.2, 0.6):
            h = chainrule.tanh(w * h + x)
        return h

    return chainrule.explain(third_state, 0.5, 0.8)


class Layers:
    """A small classifier and its step of training."""

    def __init__(self) -> None:
        chainrule.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        self.optimizer = chainrule.optim.SGD(self.model.parameters(), lr=0.1)
        self.inputs = chainrule.randn(256, 64), chainrule.randint(0, 10, (256,))

    def loss(self, images: Any, labels: Any) -> Any:
        """Cross-entropy of a batch."""
        return nn.functional.cross_entropy(self.model(images), labels)

    def step(self, images: Any, labels: Any) -> Any:
        """Forward, backward, update."""
        self.optimizer.zero_grad()
        loss = self.loss(images, labels)
        loss.backward()
        self.optimizer.step()
        return loss


def failure() -> Explanation:
    """A network whose layers do not fit together."""
    chainrule.manual_seed(0)
    return chainrule.explain(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(5, 2)), chainrule.ones(2, 4))


def drawings() -> dict[str, str]:
    """The figures that come out the same everywhere, by name."""
    return {
        "sum": product_of_a_sum().svg(),
        "neuron": neuron().svg(fold=False),
        "neuron_block": neuron().svg(fold=True),
        "layers": chainrule.explain(Layers().loss, *Layers().inputs).svg(fold=True),
        "failure": failure().svg(),
        "time": through_time().svg(),
    }


def compiled() -> Explanation:
    """The step of training, compiled."""
    made = Layers()
    step = chainrule.compile(made.step)
    step(*made.inputs)
    return chainrule.explain(step, *made.inputs)


def measured() -> Profile:
    """What the kernels of that step take; the shortest of many runs is drawn."""
    made = Layers()
    profile: Profile = chainrule.compile(made.step).profile(*made.inputs, runs=200)
    return profile


def main() -> None:
    """Draw the figures; print the kernels."""
    for name, drawing in drawings().items():
        (FIGURES / f"microscope_{name}.svg").write_text(drawing + "\n", encoding="utf-8")
    found = compiled()
    (FIGURES / "microscope_timeline.svg").write_text(timeline_of(measured()) + "\n", encoding="utf-8")
    products = [node for node in found.data()["nodes"] if node["operation"] == "MatMul" and node["kernel"]]
    kernel = products[0]["kernel"]
    for node in found.data()["nodes"]:
        if node["kernel"] == kernel:
            print(f"{kernel}: {node['operation']}, {node['path'] or 'the step'}")
    print(found.profile)


if __name__ == "__main__":
    main()
