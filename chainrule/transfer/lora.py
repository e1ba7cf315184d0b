"""LoRA: a large model learns a new task by a small change of rank r to some of its matrices; the rest stays as it is.

    x ──► W, frozen ───────────► + ──► y          y = W·x + (α/r)·B·A·x
     └──► A: in → r ─► B: r → out ┘               A drawn, B zero: at first nothing is changed

A matrix of 1000×1000 has a million numbers; A and B of rank 8 have 16,000, and only these need gradients and the
optimiser's memory. What was learned is a small file, and can be added into W when the model is used.

Source: Hu et al., "LoRA: low-rank adaptation of large language models", 2022. `lora_files.py` reads and writes the
files of the `peft` library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from chainrule import nn
from chainrule.autodiff.mode import no_grad
from chainrule.nn.linear import TransposedLinear
from chainrule.nn.module import Module
from chainrule.nn.utils.parametrize import register_parametrization
from chainrule.tensor import Tensor
from chainrule.transfer.head import find_head

#: Layers that compute x·Wᵀ: a change can stand beside each.
_LINEAR = (nn.Linear, TransposedLinear, nn.QuantizedLinear)


class LowRank(Module):
    """A change (α/r)·B·A of a matrix W (out, in); called with W it gives W + (α/r)·B·A.

    Args:
        outputs, inputs: the shape of W.
        rank, alpha: r and α.
        transposed: whether W is kept as (in, out).
        rescaled: divide α by √r and not by r, so that large ranks learn as fast as small ones (Kalajdzievski, 2023).
    """

    kept_in_full = True  # `nn.quantize` makes the matrices small that stay, not what is learned beside them

    def __init__(
        self, outputs: int, inputs: int, rank: int, alpha: float, transposed: bool = False, rescaled: bool = False
    ) -> None:
        super().__init__()
        self.rank, self.alpha, self.transposed, self.rescaled = rank, alpha, transposed, rescaled
        self.scale = alpha / (math.sqrt(rank) if rescaled else rank)
        self.lora_A = nn.Linear(inputs, rank, bias=False)
        self.lora_B = nn.Linear(rank, outputs, bias=False)
        nn.init.kaiming_uniform_(self.lora_A.weight, a=math.sqrt(5))
        nn.init.zeros_(self.lora_B.weight)
        #: The matrix without the change, while the change is in it; None while it is not.
        self.unmerged: Tensor | None = None

    def applied_to(self, x: Tensor) -> Tensor:
        """(α/r)·B·A·x for the rows of x (…, in)."""
        x = x.to(self.lora_A.weight.dtype)  # a layer in 4 bits takes halves too
        return self.lora_B(self.lora_A(x)) * self.scale

    def forward(self, weight: Tensor) -> Tensor:
        """The changed matrix."""
        if self.unmerged is not None:
            return weight
        change = self.lora_B.weight @ self.lora_A.weight * self.scale
        return weight + (change.T if self.transposed else change)

    @no_grad()
    def merge_into(self, weight: Tensor) -> None:
        """Write the change into the matrix itself."""
        if self.unmerged is None:
            before = weight.detach().clone()
            weight.copy_(self(weight))
            self.unmerged = before

    @no_grad()
    def take_out_of(self, weight: Tensor) -> None:
        """Put back the matrix as it was before, to the bit."""
        if self.unmerged is not None:
            weight.copy_(self.unmerged)
            self.unmerged = None

    def extra_repr(self) -> str:
        """The settings."""
        return f"rank={self.rank}, alpha={self.alpha}" + (", merged" if self.unmerged is not None else "")


class LoraLinear(Module):
    """A linear layer, frozen, with a change of low rank beside it: base_layer(x) + (α/r)·B·A·dropout(x).

    The layer may be one in 8 or 4 bits (Dettmers et al., "QLoRA: efficient finetuning of quantized LLMs", 2023).
    """

    def __init__(self, base_layer: Any, rank: int, alpha: float, dropout: float = 0.0, rescaled: bool = False) -> None:
        super().__init__()
        self.base_layer = base_layer
        transposed = isinstance(base_layer, TransposedLinear)
        self.change = LowRank(base_layer.out_features, base_layer.in_features, rank, alpha, transposed, rescaled)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.change.unmerged is not None:
            return self.base_layer(x)
        return self.base_layer(x) + self.change.applied_to(self.dropout(x))


class LoraReport(NamedTuple):
    """What `add_lora` has done.

    Attributes:
        layers: the paths of the layers that have changes.
        trained, total: how many parameters learn, and how many there are, those in 8 or 4 bits included.
    """

    layers: list[str]
    trained: int
    total: int

    def __str__(self) -> str:
        share = self.trained / self.total
        return f"{len(self.layers)} layers; {self.trained:,} of {self.total:,} parameters learn ({share:.2%})"


def add_lora(
    model: Module,
    rank: int = 8,
    targets: str | Sequence[str] = "all-linear",
    alpha: float | None = None,
    dropout: float = 0.0,
    also: Sequence[str] = (),
    rescaled: bool = False,
) -> LoraReport:
    """Freeze a model and give some of its layers changes of low rank, in place. Make the optimiser afterwards.

    Args:
        rank: r, the rank of each change.
        targets: names of layers, the last parts of their paths ("q_proj", "mlp.c_fc"); or one regular expression that
            matches whole paths; or "all-linear", every linear layer but the head. Linear layers, GPT-2's transposed
            ones, those that `nn.quantize` made small and `nn.MultiheadAttention` can be targets; of attention, all four
            matrices.
        alpha: α, the strength; 2·rank if None.
        dropout: of the inputs of A, in training.
        also: names of layers that learn as a whole, such as a new head.
        rescaled: divide α by √r, see `LowRank`.

    Raises ValueError for a rank below 1, a target that matches nothing or is of another kind, and a model that has
    changes already.

    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 3))
    >>> print(add_lora(model, rank=2, also=["2"]))
    1 layers; 703 of 10,803 parameters learn (6.51%)
    """
    if rank < 1:
        raise ValueError(f"the rank of a change is at least 1, got {rank}.")
    if any(isinstance(module, LowRank) for module in model.modules()):
        raise ValueError("this model has changes of low rank already; take them out by remove_lora first.")
    chosen = _chosen(model, targets)
    whole = [path for path, _ in model.named_modules() if _named(path, also)]
    for name in also:
        if not any(_named(path, [name]) for path in whole):
            raise ValueError(f"also: no layer is called {name!r}.")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for path in chosen:
        _change(model, path, rank, 2.0 * rank if alpha is None else alpha, dropout, rescaled)
    for path in whole:
        model.get_submodule(path).requires_grad_(True)
    counts = [(p.numel(), p.requires_grad) for p in model.parameters()]
    # What is in 8 or 4 bits is no parameter, but counts as one; a head that is the embedding counts once.
    small = {
        id(m.numbers): len(m.numbers) * m.inputs
        for m in model.modules()
        if isinstance(m, (nn.QuantizedLinear, nn.QuantizedEmbedding))
    }
    total = sum(n for n, _ in counts) + sum(small.values())
    return LoraReport(chosen, sum(n for n, learns in counts if learns), total)


def merge_lora(model: Module) -> None:
    """Add every change into its matrix, so that the model is as fast as without; the changes are kept.

    Raises ValueError, before anything is changed, where a matrix is kept in 8 or 4 bits.

    >>> import chainrule
    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    >>> _ = add_lora(model, rank=1)
    >>> merge_lora(model)
    >>> model[0].change
    LowRank(
      rank=1, alpha=2.0, merged
      (lora_A): Linear(in_features=4, out_features=1, bias=False)
      (lora_B): Linear(in_features=1, out_features=4, bias=False)
    )
    """
    for change, weight in _changes_and_weights(model):  # all are looked at before the first is changed
        change.merge_into(weight)


def unmerge_lora(model: Module) -> None:
    """Take every change out of its matrix again, which then is as it was before, to the bit."""
    for change, weight in _changes_and_weights(model, only_merged=True):
        change.take_out_of(weight)


def remove_lora(model: Module) -> None:
    """Take the changes away and leave ordinary layers: with what was learned if it is merged, else without."""
    for path, module in list(model.named_modules()):
        if isinstance(module, LoraLinear):
            if not path:
                raise ValueError("the model is itself a layer with a change; take its base_layer.")
            model.set_submodule(path, module.base_layer)
        elif isinstance(module, nn.MultiheadAttention) and _attention_changes(module):
            for owner, name, _ in _attention_changes(module):
                nn.utils.parametrize.remove_parametrizations(owner, name, leave_parametrized=False)


def lora_changes(model: Module) -> Iterator[tuple[str, LowRank]]:
    """Every change with its name in PEFT's files: the layer's path; of attention also path.base_layer.out_proj."""
    for path, module in model.named_modules():
        if isinstance(module, LoraLinear):
            yield path, module.change
        elif isinstance(module, nn.MultiheadAttention):
            for owner, _, change in _attention_changes(module):
                yield path if owner is module else f"{path}.base_layer.out_proj", change


def _chosen(model: Module, targets: str | Sequence[str]) -> list[str]:
    """The paths of the layers that are meant."""
    kinds = (*_LINEAR, nn.MultiheadAttention)
    attentions = [path for path, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)]
    paths = [path for path, _ in model.named_modules() if path]
    if targets == "all-linear":
        head = find_head(model)
        linear = [path for path in paths if isinstance(model.get_submodule(path), _LINEAR)]
        found = [path for path in linear if path != head]
    elif isinstance(targets, str):
        found = [path for path in paths if re.fullmatch(targets, path)]
    else:
        found = [path for path in paths if _named(path, targets)]
        for target in targets:
            if not any(_named(path, [target]) for path in found):
                raise ValueError(f"no layer is called {target!r}; there are {_examples(model)}.")
    # The projection inside of an attention layer belongs to it, and is not called by itself.
    found = [path for path in found if path.rpartition(".")[0] not in attentions]
    if not found:
        raise ValueError(f"the targets {targets!r} match no layer; there are {_examples(model)}.")
    for path in found:
        if not isinstance(model.get_submodule(path), kinds):
            kind = type(model.get_submodule(path)).__name__
            raise ValueError(f"{path} is a {kind}; changes of low rank are for linear layers and MultiheadAttention.")
    return found


def _named(path: str, names: Sequence[str]) -> bool:
    return any(path == name or path.endswith(f".{name}") for name in names)


def _examples(model: Module) -> str:
    kinds = (*_LINEAR, nn.MultiheadAttention)
    last = dict.fromkeys(p.rpartition(".")[2] for p, m in model.named_modules() if p and isinstance(m, kinds))
    return ", ".join(map(repr, list(last)[:8])) or "no linear layers"


def _change(model: Module, path: str, rank: int, alpha: float, dropout: float, rescaled: bool) -> None:
    """Give one layer its change."""
    layer: Any = model.get_submodule(path)
    if not isinstance(layer, nn.MultiheadAttention):
        with_change = LoraLinear(layer, rank, alpha, dropout, rescaled).train(layer.training)
        model.set_submodule(path, _in_type_of(layer.weight, with_change))
        return
    if dropout or layer.in_proj_weight is None:
        raise ValueError(
            f"{path}: attention takes changes of its own matrices, without dropout, and where queries, keys and values "
            "have one width; use dropout=0, or leave it out of the targets."
        )
    width = layer.embed_dim
    for owner, name, outputs in ((layer, "in_proj_weight", 3 * width), (layer.out_proj, "weight", width)):
        change = LowRank(outputs, width, rank, alpha, rescaled=rescaled).train(layer.training)
        register_parametrization(owner, name, _in_type_of(getattr(owner, name), change))


def _in_type_of(weight: Tensor, module: Any) -> Any:
    return module if not weight.dtype.is_floating_point else module.to(weight.dtype)


def _attention_changes(module: Any) -> list[tuple[Any, str, LowRank]]:
    """Of attention: what owns each changed matrix, its name, and the change."""
    found = []
    for owner, name in ((module, "in_proj_weight"), (module.out_proj, "weight")):
        if nn.utils.parametrize.is_parametrized(owner, name):
            found += [(owner, name, part) for part in owner.parametrizations[name] if isinstance(part, LowRank)]
    return found


def _changes_and_weights(model: Module, only_merged: bool = False) -> list[tuple[LowRank, Tensor]]:
    """Every change with the matrix that it is for."""
    found = []
    for path, module in model.named_modules():
        if isinstance(module, LoraLinear):
            found.append((path, module.change, module.base_layer.weight))
        elif isinstance(module, nn.MultiheadAttention):
            found += [(path, c, owner.parametrizations[name].original) for owner, name, c in _attention_changes(module)]
    if only_merged:
        found = [row for row in found if row[1].unmerged is not None]
    for path, _, weight in found:
        if not weight.dtype.is_floating_point:
            raise ValueError(
                f"{path}: the matrix is kept in {weight.dtype}, into which no change can be added (or taken out of it) "
                "without loss. Leave the change beside it, as it computes the same; or merge first, and quantize then."
            )
    return [(change, weight) for _, change, weight in found]
