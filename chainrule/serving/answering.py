"""Answers to many questions at once, by the code that `chainrule predict` has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ChainruleError
from chainrule.functions.creation import make
from chainrule.portable.making import export_program
from chainrule.portable.program import PortableProgram
from chainrule.tasks.run import OpenRun
from chainrule.tensor import Tensor

log = logging.getLogger("chainrule.serve")


class Forward:
    """A model's forward pass as native programs for 1, 2, 4, … samples; other numbers are filled up with zeros.

    That is right only where each sample is answered for itself, which is looked at once, in the beginning.
    """

    def __init__(self, program: PortableProgram, most: int) -> None:
        self.program, self.most = program, most

    def __call__(self, x: Tensor) -> Any:
        """The scores for samples (N, …), as the model gives them."""
        count = int(x.shape[0])
        room = 1 << (count - 1).bit_length()
        if room == count:
            return self.program(x)
        filled = np.zeros((room, *x.shape[1:]), x.dtype.numpy)
        filled[:count] = x.numpy()
        return self.program(filled)[:count]

    def prepare(self, example: Tensor) -> bool:
        """Make the programs; whether filling up leaves the other samples' scores what they are."""
        for doublings in range((self.most - 1).bit_length() + 1):
            self.program(np.zeros((1 << doublings, *example.shape[1:]), example.dtype.numpy))
        if example.dtype.is_floating_point:
            three = np.random.default_rng(0).standard_normal((3, *example.shape[1:])).astype(example.dtype.numpy)
        else:
            three = np.ones((3, *example.shape[1:]), example.dtype.numpy)
        alone, together = self.program(three), self(make(three))
        return bool(np.allclose(alone.numpy(), together.numpy(), rtol=1e-4, atol=1e-5))


class Answers:
    """A run as a function from samples to answers. Only one thread calls it.

    Attributes:
        task: what the run's task is.
        compiled: whether the model runs as native programs; a model that writes step by step runs as it is.
    """

    def __init__(self, run: OpenRun, most: int, **options: Any) -> None:
        self.task, self.options = run.task, options
        run.model.eval()
        self.model: Any = run.model
        self.compiled = False
        if run.task.kind not in ("text", "translation"):
            self.compiled = self._compile(run, most)

    def _compile(self, run: OpenRun, most: int) -> bool:
        example = self.task.example_input(2)
        try:
            forward = Forward(export_program(run.model, example, dynamic=True), most)
        except ChainruleError as error:
            log.info("the model runs operation by operation: %s", error)
            return False
        if not forward.prepare(example):
            log.info("the model runs operation by operation: its answers depend on the samples beside them")
            return False
        self.model = forward
        return True

    def __call__(self, samples: Sequence[Any]) -> list[dict[str, Any]]:
        """An answer for each sample."""
        with no_grad():
            return self.task.answers(self.model, samples, **self.options)
