"""Steps of training, to be run as they are or compiled."""

from __future__ import annotations

from typing import Any

from chainrule.nn import functional as F


def training_step(model: Any, optimizer: Any) -> Any:
    """For samples and their classes: the cross-entropy before the step."""

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def summing_step(model: Any, optimizer: Any) -> Any:
    """For samples: the sum of what the model says, before the step makes it smaller."""

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = model(x).sum()
        loss.backward()
        optimizer.step()
        return loss

    return step
