"""What a model makes on its way: the outputs of named parts, for a segmentation head on a backbone and the like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chainrule.cell import Handle
from chainrule.nn.module import Module


class _EverythingSeen(Exception):  # noqa: N818 - it is no error, but the way out of the rest of the model
    """All outputs that are wanted are there."""


class IntermediateOutputs(Module):
    """A model that answers the outputs of named parts of another one. See `intermediate_outputs`.

    Attributes:
        model: the whole model, so its parameters are this one's and it can be frozen or learn.
        outputs: from the paths of parts to the names of their outputs.
    """

    def __init__(self, model: Module, outputs: Mapping[str, str]) -> None:
        super().__init__()
        for path in outputs:
            model.get_submodule(path)
        if not outputs or len(set(outputs.values())) < len(outputs):
            raise ValueError(f"intermediate outputs have names, each one its own; got {dict(outputs)}.")
        self.model = model
        self.outputs = dict(outputs)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The outputs by name, in the order in which they were asked for."""
        found: dict[str, Any] = {}
        handles = [self._watch(path, name, found) for path, name in self.outputs.items()]
        try:
            self.model(*args, **kwargs)
        except _EverythingSeen:
            pass
        finally:
            for handle in handles:
                handle.remove()
        missing = [path for path, name in self.outputs.items() if name not in found]
        if missing:
            raise ValueError(f"{type(self.model).__name__} did not call {', '.join(missing)} for this input.")
        return {name: found[name] for name in self.outputs.values()}

    def _watch(self, path: str, name: str, found: dict[str, Any]) -> Handle:
        def look(module: Module, args: Any, output: Any) -> None:
            found.setdefault(name, output)
            if len(found) == len(self.outputs):
                raise _EverythingSeen

        return self.model.get_submodule(path).register_forward_hook(look)


def intermediate_outputs(model: Module, names: Iterable[str] | Mapping[str, str]) -> IntermediateOutputs:
    """A module that runs `model` and answers a dictionary with the outputs of some of its parts.

    Args:
        model: the backbone; it is used as it is, not copied and not changed.
        names: the paths of the parts, or a dictionary from paths to the names that the outputs shall have.

    What comes after the last wanted output is not computed: so a backbone whose head needs a fixed size takes images of
    any size here. Of a part that runs several times the first output counts.

    Raises AttributeError for a path that does not exist, ValueError for no names or names given twice.

    >>> import chainrule
    >>> backbone = chainrule.models.resnet18(num_classes=10, stem="cifar")
    >>> features = intermediate_outputs(backbone, {"layer2": "fine", "layer4": "coarse"})
    >>> {name: tuple(x.shape) for name, x in features(chainrule.zeros(1, 3, 16, 24)).items()}
    {'fine': (1, 128, 8, 12), 'coarse': (1, 512, 2, 3)}
    """
    return IntermediateOutputs(model, names if isinstance(names, Mapping) else {name: name for name in names})
