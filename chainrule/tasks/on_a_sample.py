"""A model laid open on one sample: with the loss of its task, or with the largest of its scores."""

from __future__ import annotations

from typing import Any

from chainrule.data.loader import DataLoader
from chainrule.explain.explanation import Explanation
from chainrule.explain.making import explain
from chainrule.nn.evaluation import evaluation_mode
from chainrule.nn.module import Module
from chainrule.tasks.task import Task
from chainrule.tensor import Tensor


def explain_sample(task: Task, model: Module, samples: Any) -> Explanation:
    """The loss of a task on the first of some samples, in evaluation mode."""
    inputs, targets = next(iter(DataLoader(samples, 1)))
    loss_function = task.build_loss()

    def loss(inputs: Any, targets: Any) -> Any:
        return loss_function(model(inputs), targets)

    with evaluation_mode(model):
        return explain(loss, inputs, targets)


def explain_scores(model: Module, *inputs: Any) -> Explanation:
    """A network on some inputs, in evaluation mode, with the gradients of the largest of its scores."""

    def largest_score(*inputs: Any) -> Any:
        scores = model(*inputs)
        return scores.max() if isinstance(scores, Tensor) else scores

    with evaluation_mode(model):
        return explain(largest_score, *inputs)
