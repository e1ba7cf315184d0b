"""PyTorch's places: `import chainrule.nn.modules.batchnorm` finds what is elsewhere here, or says what to use instead.

Python asks a finder on `sys.meta_path` for every module that has no file. Ours, the last one, answers for names under
`chainrule` alone: with a module that passes on to the parts where the things are (the table below), or with the same
text as the attribute (`absent_names`).
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

from chainrule.errors import AbsentNameError

#: A module of PyTorch's, and where its things are: parts of chainrule, the first that has a name gives it.
_ELSEWHERE = {
    "_C": "utils.internals",
    "_subclasses": "utils.internals",
    "_subclasses.fake_tensor": "utils.internals",
    "amp.autocast_mode": "amp",
    "amp.grad_scaler": "amp",
    "autograd.anomaly_mode": "autograd",
    "autograd.grad_mode": "autograd",
    "cuda.amp": "amp",
    "cuda.amp.autocast_mode": "amp",
    "cuda.amp.grad_scaler": "amp",
    "cuda.memory": "cuda",
    "cuda.random": "cuda",
    "distributions.studentT": "distributions.student_t",
    "functional": "",
    "fx.experimental": "utils.internals",
    "fx.experimental.proxy_tensor": "utils.internals",
    "jit.annotations": "utils.annotations",
    "nn.modules": "nn nn.module",
    "nn.modules.activation": "nn.activations.classic nn",
    "nn.modules.adaptive": "nn",
    "nn.modules.batchnorm": "nn.normalisation.layers nn.lazy nn",
    "nn.modules.channelshuffle": "nn",
    "nn.modules.container": "nn",
    "nn.modules.conv": "nn.convolution.layers nn.convolution.transposed nn.lazy nn",
    "nn.modules.distance": "nn",
    "nn.modules.dropout": "nn.dropout nn",
    "nn.modules.flatten": "nn",
    "nn.modules.fold": "nn",
    "nn.modules.instancenorm": "nn.normalisation.layers nn.lazy nn",
    "nn.modules.lazy": "nn.lazy",
    "nn.modules.linear": "nn.attention.multihead nn",
    "nn.modules.loss": "nn.losses.classes nn",
    "nn.modules.module": "nn.module nn.loading nn",
    "nn.modules.normalization": "nn",
    "nn.modules.padding": "nn.padding.layers nn",
    "nn.modules.pixelshuffle": "nn",
    "nn.modules.pooling": "nn.pooling.windows nn.pooling.adaptive nn.pooling.lp nn",
    "nn.modules.rnn": "nn",
    "nn.modules.sparse": "nn",
    "nn.modules.transformer": "nn.transformer.stacks nn.transformer.layers nn",
    "nn.modules.upsampling": "nn",
    "nn.modules.utils": "nn.tuples nn.utils",
    "nn.utils.stateless": "func",
    "optim.adamw": "optim",
    "utils._foreach_utils": "utils.foreach",
    "utils.data._utils": "utils.data",
    "utils.data._utils.collate": "data.collate",
    "utils.data.dataloader": "data.loader data.collate utils.data",
    "utils.data.dataset": "data.dataset utils.data",
    "utils.data.sampler": "data.sampler utils.data",
    "utils.model_zoo": "hub",
    "utils.tensorboard.writer": "utils.tensorboard",
}

#: PyTorch's private names of bases that programs ask for (`isinstance(m, nn.modules.conv._ConvNd)`), and ours.
_PRIVATE = {
    "_ConvNd": "ConvolutionBase",
    "_ConvTransposeNd": "_ConvTranspose",
    "_DropoutNd": "_Dropout",
    "_Loss": "Loss",
    "_WeightedLoss": "WeightedLoss",
    "_MaxPoolNd": "_MaxPool",
    "_AvgPoolNd": "_AvgPool",
    "_LPPoolNd": "_LPPool",
    "_AdaptiveAvgPoolNd": "_AdaptiveAvgPool",
    "_AdaptiveMaxPoolNd": "_AdaptiveMaxPool",
    "_IncompatibleKeys": "IncompatibleKeys",
    "LazyModuleMixin": "LazyModule",
    "_are_functorch_transforms_active": "are_functorch_transforms_active",
    "_get_activation_fn": "read_activation",
    "_group_tensors_by_device_and_dtype": "group_tensors",
    "_has_foreach_support": "has_foreach_support",
    "_log_api_usage_once": "log_api_usage_once",
    "load_url": "load_state_dict_from_url",
}


class Elsewhere(ModuleType):
    """A module of PyTorch's that holds nothing itself: its names are those of other parts."""

    def __getattr__(self, name: str) -> Any:
        place = self.__name__.removeprefix("chainrule.")
        if f"{place}.{name}" in _ELSEWHERE:
            return importlib.import_module(f"chainrule.{place}.{name}")
        wanted = _PRIVATE.get(name, name)
        if not wanted.startswith("__"):
            for part in _parts(place):
                if wanted in vars(part) or wanted in (getattr(part, "__all__", None) or ()):
                    return getattr(part, wanted)
        if name == "__all__":  # for a star import
            named = [name for part in _parts(place) for name in getattr(part, "__all__", None) or vars(part)]
            return sorted({name for name in named if not name.startswith("_")})
        raise AttributeError(f"{self.__name__} has no {name!r}")

    def __dir__(self) -> list[str]:
        return list(self.__getattr__("__all__"))


def _parts(place: str) -> list[Any]:
    return [importlib.import_module(f"chainrule.{part}".rstrip(".")) for part in _ELSEWHERE[place].split(" ")]


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds PyTorch's places under `chainrule`; raises an AbsentNameError for those that are not here."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """A module that passes on to others, None for what nobody knows; raises for what is known to be absent."""
        place = fullname.removeprefix("chainrule.")
        area, _, name = place.rpartition(".")
        if place in _ELSEWHERE:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if place == fullname or name.startswith("_"):
            return None
        from chainrule.absent_names import message

        said = message(area, name)
        if said:
            raise AbsentNameError(said, name=fullname)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        """The module: it looks a name up when it is asked for it."""
        return Elsewhere(spec.name, "PyTorch's place of what is elsewhere here; see chainrule/places.py.")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the module has no code."""


def find(area: str, name: str) -> Any:
    """The module of PyTorch's at that place, or None; for a part's `__getattr__`."""
    place = f"{area}.{name}".lstrip(".")
    return importlib.import_module(f"chainrule.{place}") if place in _ELSEWHERE else None


def install() -> None:
    """Ask this finder too, after all others."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
