"""Training in bfloat16: half the memory for weights, activations and gradients; sums of updates in float32."""

from __future__ import annotations

import copy
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.dtypes import bfloat16, float32
from chainrule.nn.module import Module
from chainrule.optim.optimizer import Optimizer
from chainrule.tensor import Tensor


class BFloat16:
    """A model whose parameters are bfloat16, and float32 copies of them (masters) that the optimiser works on.

    bfloat16 has 8 bits of precision: a step smaller than about 1/256 of a weight would vanish if it were added to the
    weight itself. It is added to the master instead, and the weight is the master rounded. Buffers (running
    statistics) stay as they are. Source: Micikevicius et al., "Mixed precision training", 2018, section 3.1.

    Raises ValueError for an optimiser that has made steps already.
    """

    def __init__(self, model: Module, optimizer: Optimizer) -> None:
        if optimizer.state:
            raise ValueError("precision='bfloat16' begins with a new optimiser; this one has made steps already.")
        self.pairs: dict[str, tuple[Tensor, Tensor]] = {}
        masters: dict[int, Tensor] = {}
        for name, parameter in model.named_parameters():
            if parameter.dtype is float32:
                master = parameter.detach_copy().requires_grad_(parameter.requires_grad)
                masters[id(parameter)] = master
                self.pairs[name] = parameter, master
                parameter.data = parameter.detach().to(bfloat16)
        for group in optimizer.param_groups:
            group["params"] = [masters.get(id(parameter), parameter) for parameter in group["params"]]

    def inputs(self, inputs: Any) -> Any:
        """Floating-point inputs in bfloat16."""
        if isinstance(inputs, Tensor):
            return inputs.to(bfloat16) if inputs.dtype.is_floating_point else inputs
        if isinstance(inputs, tuple | list):
            return type(inputs)(self.inputs(part) for part in inputs)
        return inputs

    def outputs(self, outputs: Any) -> Any:
        """Outputs in float32, for the loss."""
        return outputs.float() if isinstance(outputs, Tensor) and outputs.dtype is bfloat16 else outputs

    def gather(self) -> None:
        """The gradients, for the masters."""
        for parameter, master in self.pairs.values():
            master.grad = None if parameter.grad is None else parameter.grad.to(float32)
            parameter.grad = None

    def spread(self) -> None:
        """The masters, rounded, for the model."""
        with no_grad():
            for parameter, master in self.pairs.values():
                parameter.copy_(master)

    @property
    def masters(self) -> dict[str, Tensor]:
        """The masters by name."""
        return {name: master for name, (_, master) in self.pairs.items()}

    def with_masters(self, model: Module) -> Module:
        """The model as its optimiser sees it: its structure copied, with the masters and all else that is its own."""
        shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        return copy.deepcopy(model, shared | {id(parameter): master for parameter, master in self.pairs.values()})

    def leave(self) -> None:
        """Make the model's parameters float32 again, as they are: rounded. What was never bfloat16 stays as it is."""
        for parameter, _ in self.pairs.values():
            parameter.data = parameter.detach().float()

    def state_dict(self) -> dict[str, Tensor]:
        """The masters' values by name."""
        return {name: master.detach() for name, (_, master) in self.pairs.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take them over."""
        with no_grad():
            for name, (_, master) in self.pairs.items():
                master.copy_(state[name])
