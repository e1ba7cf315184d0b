"""The pictures of the page in docs/microscope.md, from real runs: `python -m docs.make.microscope_page`.

It needs Chromium, as `docs.make.pictures` does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import chainrule
from chainrule import models, optim
from chainrule.nn import functional as F
from docs.make.pictures import FIGURES, photograph


def neuron() -> Any:
    """The sigmoid neuron of the notes, decomposed."""

    def neuron(w0: Any, x0: Any, w1: Any, x1: Any, w2: Any) -> Any:
        return 1 / (1 + (-(w0 * x0 + w1 * x1 + w2)).exp())

    return chainrule.explain(neuron, 2.0, -1.0, -3.0, -2.0, -3.0)


def training_step() -> Any:
    """A GPT-2 of twelve blocks learns from one batch: forward, backward, AdamW."""
    model = models.GPT2(vocabulary=300, layers=12, width=64, heads=4, context=32)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    tokens = chainrule.randint(0, 300, (2, 16))

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens).reshape(-1, 300), tokens.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss

    return chainrule.explain(step)


def main() -> None:
    """Write docs/figures/microscope_page_neuron.png and docs/figures/microscope_page_step.png."""
    chainrule.manual_seed(0)
    for name, found, place in (("neuron", neuron(), "#n0"), ("step", training_step(), "")):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.html"
            found.html(page)
            photograph(page, FIGURES / f"microscope_page_{name}.png", 1500, 700, place)


if __name__ == "__main__":
    main()
