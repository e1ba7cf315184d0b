"""A compiled module: the module itself while it learns, a native program where no gradients are recorded."""

from __future__ import annotations

from typing import Any

from chainrule.backends.native.profile import Profile
from chainrule.changes import fields_of
from chainrule.compiler.function import CompiledFunction
from chainrule.nn.module import Module
from chainrule.state import current_state
from chainrule.tensor import tensors_in


class CompiledModule(Module):
    """What `compile` makes of a module. It is one too: parameters, modes and state are the module's, under `_orig_mod`.

    Under `no_grad` a call runs the program, which is made in the first one. While gradients are recorded and wanted
    the module runs as it is: a program's results are detached, and what is fast in training is a compiled *step*, with
    forward pass, backward pass and update in one function.

    >>> import chainrule
    >>> model = chainrule.compile(chainrule.nn.Linear(2, 1))
    >>> model(chainrule.ones(3, 2)).requires_grad
    True
    >>> with chainrule.no_grad():
    ...     print(model(chainrule.ones(3, 2)).shape)
    Size([3, 1])
    """

    _orig_mod: Module

    def __init__(
        self, module: Module, debug: bool = False, strict: bool = False, on_stale: str = "raise",
        backend: Any = "native", exact: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._orig_mod = module
        self.training = module.training
        fields_of(self)["_compiled"] = CompiledFunction(module, debug, strict, on_stale, backend, exact)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The program's result; with gradients the module's own."""
        given = (*tensors_in([args, kwargs]), *self.parameters())
        if current_state().gradients and any(tensor.requires_grad for tensor in given):
            return self._orig_mod(*args, **kwargs)
        return self._compiled(*args, **kwargs)

    def _own_paths(self) -> dict[int, str]:
        return self._orig_mod._own_paths()  # errors name places in the module that was written

    def _remind_of_eval(self) -> None:
        if self._orig_mod.training:
            self._orig_mod._remind_of_eval()

    def explain(self) -> str:
        """What the last program does, one kernel in a line. Raises TraceError if there is none yet."""
        return str(self._compiled.explain())

    def profile(self, *args: Any, runs: int = 10, **kwargs: Any) -> Profile:
        """Run the program some times with these arguments and measure each kernel."""
        measured: Profile = self._compiled.profile(*args, runs=runs, **kwargs)
        return measured

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "_orig_mod":
                raise
        return getattr(self._orig_mod, name)
