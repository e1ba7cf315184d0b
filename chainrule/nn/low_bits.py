"""Weights in 8 or 4 bits, for inference: a linear layer or an embedding in a quarter or an eighth of the memory.

    int8, a scale for each output channel:     w ≈ scale·q,  q ∈ {−127 … 127},  scale = max|w| / 127
    int4, a scale for each group of 32 inputs: w ≈ scale·q,  q ∈ {−8 … 7},      scale by the group's largest entry / −8

A model that makes one token after the other spends its time on reading its weights; so fewer bytes are also less time.
In int4 two numbers share a byte: input i of a group in the lower half, input i + 16 in the upper half.

Sources: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
2018; groups: Dettmers and Zettlemoyer, "The case for 4-bit precision", 2023.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from chainrule.errors import ShapeError
from chainrule.functions.creation import from_numpy
from chainrule.functions.promotion import need_tensor
from chainrule.functions.shape import pad
from chainrule.nn.embedding import Embedding, embedding
from chainrule.nn.linear import Linear, TransposedLinear, linear
from chainrule.nn.module import Module
from chainrule.primitives.low_bits import GROUP, LowBitsMatMul, unpacked
from chainrule.tensor import Tensor


def to_int8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (out, in) as int8 and float32 scales (out, 1): weight ≈ numbers·scales.

    >>> to_int8(np.array([[0.5, -1.0]], "float32"))
    (array([[ 64, -127]], dtype=int8), array([[0.007874]], dtype=float32))
    """
    scales = np.abs(weight).max(1, keepdims=True).astype("float32") / np.float32(127)
    numbers = np.rint(weight / np.where(scales == 0, 1, scales))
    return numbers.astype("int8"), scales


def to_int4(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (out, groups, 16) as int8, two in each byte, and float32 scales (out, groups, 1).

    Inputs are filled up with zeros to whole groups. The entry of a group that is largest in size becomes exactly −8.
    """
    rows, inputs = weight.shape
    groups = -(-inputs // GROUP)
    filled = np.zeros((rows, groups, GROUP), "float32")
    filled.reshape(rows, -1)[:, :inputs] = weight
    largest = np.take_along_axis(filled, np.abs(filled).argmax(2, keepdims=True), 2)
    scales = largest / np.float32(-8)
    numbers = np.clip(np.rint(filled / np.where(scales == 0, 1, scales)), -8, 7).astype("int16")
    low, high = numbers[..., : GROUP // 2], numbers[..., GROUP // 2 :]
    return (high * 16 + low + 8).astype("int8"), scales


class _Quantized(Module):
    """What both layers share: the numbers and their scales as buffers, and the matrix that they stand for."""

    bits: int
    inputs: int

    def _keep(self, weight: Tensor, bits: int) -> None:
        if bits not in (4, 8):
            raise ValueError(f"weights are kept in 8 or 4 bits, got {bits}.")
        self.bits, self.inputs = bits, weight.shape[1]
        array = np.asarray(weight.detach().float())
        numbers, scales = to_int8(array) if bits == 8 else to_int4(array)
        self.register_buffer("numbers", from_numpy(numbers))
        self.register_buffer("scales", from_numpy(scales))

    def dequantized(self, numbers: Tensor | None = None, scales: Tensor | None = None) -> Tensor:
        """The matrix (rows, inputs), float32; of other numbers than all, if they are given."""
        numbers = self.numbers if numbers is None else numbers
        scales = self.scales if scales is None else scales
        kept = self.numbers.shape[1:]
        rows = unpacked(numbers.reshape(-1, *kept), scales.reshape(-1, *self.scales.shape[1:]))
        return rows[:, : self.inputs].reshape(*numbers.shape[: numbers.ndim - len(kept)], self.inputs)

    def bytes_kept(self) -> int:
        """How much memory numbers and scales take."""
        return int(sum(np.asarray(x).nbytes for x in (self.numbers, self.scales)))


class QuantizedLinear(_Quantized):
    """A linear layer whose weight is kept in 8 or 4 bits: y = x·Wᵀ + b with W ≈ scales·numbers. Nothing is learned.

    Input (…, in_features), output (…, out_features), float32. `dequantized()` is W. Gradients reach the input only.

    >>> import chainrule
    >>> layer = QuantizedLinear(Linear(64, 32), bits=4)
    >>> layer(chainrule.ones(2, 64)).shape, layer.bytes_kept(), 64 * 32 * 4
    (Size([2, 32]), 1280, 8192)
    """

    def __init__(self, layer: Linear, bits: int = 8) -> None:
        super().__init__()
        self._keep(layer.weight, bits)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        bias = None if layer.bias is None else layer.bias.detach().float()
        self.register_buffer("bias", bias)

    @property
    def weight(self) -> Tensor:
        """The numbers."""
        return self.numbers

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        x = need_tensor(input, "a quantized linear layer")
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ShapeError(f"got {tuple(x.shape)}, expects (…, {self.in_features}).")
        if x.dtype.itemsize == 8:
            return linear(x, self.dequantized(), self.bias)
        rows = x.float().reshape(-1, self.in_features)
        if self.bits == 4 and self.inputs % GROUP:
            rows = pad(rows, (0, -self.inputs % GROUP))
        y: Tensor = LowBitsMatMul.apply(rows, self.numbers, self.scales)
        y = y if self.bias is None else y + self.bias
        return y.reshape(*x.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bits={self.bits}"


class QuantizedEmbedding(_Quantized):
    """An embedding whose vectors are kept in 8 or 4 bits. Input: integers of any shape; output: float32 vectors.

    >>> import chainrule
    >>> QuantizedEmbedding(Embedding(10, 32), bits=4)(chainrule.tensor([1, 2])).shape
    Size([2, 32])
    """

    def __init__(self, layer: Embedding, bits: int = 8) -> None:
        super().__init__()
        if layer.max_norm is not None:
            raise ValueError(
                "an embedding with max_norm changes its vectors when they are read; it cannot be quantized."
            )
        self._keep(layer.weight, bits)
        self.num_embeddings, self.embedding_dim = layer.num_embeddings, layer.embedding_dim

    @property
    def weight(self) -> Tensor:
        """The numbers."""
        return self.numbers

    def forward(self, input: Tensor) -> Tensor:
        """See the class."""
        shape = tuple(need_tensor(input, "a quantized embedding").shape)
        flat = self.numbers.reshape(self.num_embeddings, -1)
        numbers = embedding(input, flat).reshape(*shape, *self.numbers.shape[1:])
        scales = embedding(input, self.scales.reshape(self.num_embeddings, -1))
        return self.dequantized(numbers, scales.reshape(*shape, *self.scales.shape[1:]))

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.num_embeddings}, {self.embedding_dim}, bits={self.bits}"


class QuantizedLayer(NamedTuple):
    """What became of one layer.

    Attributes:
        path: where it is.
        error: ‖W − Ŵ‖ / ‖W‖, both as long vectors.
        before, after: bytes of the weight.
    """

    path: str
    error: float
    before: int
    after: int


class QuantizationReport(list[QuantizedLayer]):
    """All layers that `quantize` has changed; printed, a table with the error of each."""

    def __str__(self) -> str:
        before, after = sum(row.before for row in self), sum(row.after for row in self)
        width = max(len(row.path) for row in self)
        lines = [
            f"{row.path:<{width}}  error {row.error:7.3%}  {row.before:>13,} → {row.after:,} bytes" for row in self
        ]
        return "\n".join([*lines, f"{len(self)} layers: {before:,} → {after:,} bytes, {after / before:.1%}"])


def quantize(model: Module, bits: int = 8, skip: tuple[str, ...] = ()) -> QuantizationReport:
    """Replace the linear layers and embeddings of a model by ones in 8 or 4 bits, in place, for inference.

    A weight that stands in two places (a head that is the embedding) is kept once. The projections inside of
    `nn.MultiheadAttention`, which are not called as layers, stay as they are. So does, where `transfer.add_lora` has
    been, all that learns.

    Args:
        skip: the last parts of paths of layers to leave alone, such as ("lm_head",).

    Raises ValueError for other bits, and for a model without such layers.

    >>> import chainrule
    >>> from chainrule import nn
    >>> _ = chainrule.manual_seed(0)
    >>> print(quantize(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8)), bits=8))
    0  error  0.4...%         16,384 → 4,352 bytes
    2  error  0.4...%          2,048 → 544 bytes
    2 layers: 18,432 → 4,896 bytes, 26.6%
    """
    report, known = QuantizationReport(), dict[int, _Quantized]()
    inside = {id(m.out_proj) for m in model.modules() if hasattr(m, "out_proj") and hasattr(m, "in_proj_weight")}
    changes = [m for m in model.modules() if getattr(m, "kept_in_full", False)]
    inside |= {id(part) for change in changes for part in change.modules()}
    made: dict[int, _Quantized] = {}  # for a layer that stands in several places
    for path, layer in list(model.named_modules(remove_duplicate=False)):
        if id(layer) in inside or any(path == name or path.endswith(f".{name}") for name in skip):
            continue
        if type(layer) not in (Linear, TransposedLinear, Embedding) or not path:
            continue
        if changes and layer.weight.requires_grad:
            continue
        if id(layer) in made:
            model.set_submodule(path, made[id(layer)])
            continue
        small = made[id(layer)] = _small(layer, bits)
        weight: Any = layer.weight
        matrix = np.asarray(weight.detach().float())
        matrix = matrix.T if isinstance(layer, TransposedLinear) else matrix
        tied = known.setdefault(id(weight), small)
        if tied is not small:
            small.numbers, small.scales = tied.numbers, tied.scales
        else:
            size = float(np.linalg.norm(matrix)) or 1.0
            error = float(np.linalg.norm(matrix - np.asarray(small.dequantized()))) / size
            report.append(QuantizedLayer(path, error, matrix.nbytes, small.bytes_kept()))
        model.set_submodule(path, small.train(layer.training))
    if not report:
        raise ValueError(f"{type(model).__name__} has no linear layers or embeddings to quantize.")
    return report


def _small(layer: Any, bits: int) -> _Quantized:
    if isinstance(layer, Embedding):
        return QuantizedEmbedding(layer, bits)
    return QuantizedLinear(layer if isinstance(layer, Linear) else layer.turned(), bits)
