"""Kernels made by hand: edges, slopes, blurs. Each function makes a layer that applies one kernel to every channel.

    edges = nn.kernels.sobel("x")                          # a fixed depthwise convolution
    nn.kernels.initialize_(conv, nn.kernels.sobel("x"))    # or first weights to be trained further

**Convolution or cross-correlation.** The matrices are the notes' (E 4.2.2, I III.4). What libraries, and these layers,
call convolution slides them over the image as they stand, which is mathematically a cross-correlation. The true
convolution flips them in both directions: `convolve`, or `flip=True`. For symmetric kernels (blurs, Laplacian) there
is no difference. For slopes it is the sign: where the image rises by 1 per pixel to the right, S_x gives −8 as it
stands and +8 as a true convolution. The finite differences are written so that they give the derivative as they stand
(H 1).

The border: with padding="same" the image goes on with zeros, so that edges appear along the border;
padding_mode="replicate" goes on with the last pixel instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.autodiff.mode import no_grad
from chainrule.errors import ShapeError
from chainrule.functions.creation import tensor, zeros
from chainrule.functions.pieces import stack
from chainrule.functions.promotion import need_tensor
from chainrule.nn.convolution.layers import Conv2d, conv1d, conv2d, conv3d
from chainrule.tensor import Tensor

Matrix = Sequence[Sequence[float]]


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """The mathematical convolution: as `functional.conv1d`, `conv2d` or `conv3d`, with the kernel flipped.

    y[p] = Σ_k x[p − k]·w[k], where the libraries' "convolution" is the cross-correlation Σ_k x[p + k]·w[k]. The number
    of dimensions is that of the weight, (C_out, C_in/groups, …). Without padding the results are those places where the
    kernel fits into the image.

    Source: E 4.2.2, whose definition flips.

    >>> import chainrule
    >>> x, w = chainrule.tensor([[[0.0, 1.0, 0.0, 0.0]]]), chainrule.tensor([[[1.0, 2.0, 3.0]]])
    >>> convolve(x, w, padding=1), conv1d(x, w, padding=1)
    (tensor([[[1., 2., 3., 0.]]]), tensor([[[3., 2., 1., 0.]]]))
    """
    dimensions = need_tensor(weight, "convolve").ndim - 2
    if dimensions not in (1, 2, 3):
        raise ShapeError(f"convolve: the weight is (C_out, C_in/groups, …) of 3 to 5 dimensions, got {weight.shape}.")
    function = (conv1d, conv2d, conv3d)[dimensions - 1]
    return function(input, weight.flip(*range(2, weight.ndim)), bias, stride, padding, dilation, groups)


class HandmadeConv2d(Conv2d):
    """A convolution whose first weights are given matrices: each channel by itself (depthwise), without a bias.

    Input (N, channels, H, W), output (N, channels·K, H', W') for K matrices: all of the first channel, then all of the
    second. weight: (channels·K, 1, k, k).

    Args:
        matrices: the kernels; smaller ones are put into the middle of the largest, with zeros around.
        name: what is printed.
        channels: of the input.
        trainable: whether the weights want gradients.
        flip: turn the matrices around, so that the layer is a true convolution with them.
        stride, padding, padding_mode: as in `Conv2d`. padding="same" keeps the size.

    >>> import chainrule
    >>> layer = HandmadeConv2d([[[0.0, -1.0, 1.0]]], "right minus here", channels=3)
    >>> layer(chainrule.ones(1, 3, 4, 4)).shape, layer.weight.requires_grad
    (Size([1, 3, 4, 4]), False)
    """

    def __init__(
        self,
        matrices: Sequence[Matrix],
        name: str,
        *,
        channels: int = 1,
        trainable: bool = False,
        flip: bool = False,
        stride: Any = 1,
        padding: Any = "same",
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        kernels = stack(_of_one_size(matrices))
        kernels = kernels.flip(1, 2) if flip else kernels
        height, width = kernels.shape[1:]
        super().__init__(
            channels, channels * len(matrices), (height, width), stride, padding, groups=channels, bias=False,
            padding_mode=padding_mode, device=device, dtype=dtype,
        )  # fmt: skip
        self.name, self.matrices, self.flip = name, kernels, flip
        with no_grad():
            self.weight.copy_(kernels.unsqueeze(1).repeat(channels, 1, 1, 1))
        self.weight.requires_grad_(trainable)

    def extra_repr(self) -> str:
        """The kernel's name and what `Conv2d` says."""
        return f"{self.name}{', flipped' if self.flip else ''}, {super().extra_repr()}"


def _of_one_size(matrices: Sequence[Matrix]) -> list[Tensor]:
    """The matrices as tensors of the largest size, in the middle of zeros."""
    found = [tensor(matrix, dtype="float64") for matrix in matrices]
    if not found or any(kernel.ndim != 2 for kernel in found):
        raise ShapeError(f"kernels are matrices, at least one, got shapes {[tuple(kernel.shape) for kernel in found]}.")
    height, width = (max(kernel.shape[axis] for kernel in found) for axis in (0, 1))
    framed = []
    for kernel in found:
        top, left = (height - kernel.shape[0]) // 2, (width - kernel.shape[1]) // 2
        frame = zeros(height, width, dtype="float64")
        frame[top : top + kernel.shape[0], left : left + kernel.shape[1]] = kernel
        framed.append(frame)
    return framed


def bank(*layers: HandmadeConv2d, **options: Any) -> HandmadeConv2d:
    """Several kernels as one layer: an output per channel and kernel. Options as `HandmadeConv2d`.

    The kernels count as they are in the layers, flipped ones flipped; the other settings of the layers do not count.

    >>> import chainrule
    >>> bank(sobel("x"), sobel("y"), channels=3)(chainrule.ones(1, 3, 8, 8)).shape
    Size([1, 6, 8, 8])
    """
    matrices = [matrix.tolist() for layer in layers for matrix in layer.matrices]
    return HandmadeConv2d(matrices, " + ".join(layer.name for layer in layers), **options)


def initialize_(conv: Conv2d, *layers: HandmadeConv2d) -> Conv2d:
    """Start the first filters of a convolution layer from kernels, in place; the other filters stay as they are.

    Each kernel fills one filter: the same in all input channels, divided by their number, so that the filter sees the
    mean of the channels. Biases of these filters become 0. Raises ShapeError for another kernel size, or more kernels
    than filters.

    Source: I III.5, question 12.

    >>> import chainrule
    >>> conv = initialize_(chainrule.nn.Conv2d(1, 8, 3), sobel("x"), sobel("y"))
    >>> conv.weight[0, 0, 1].tolist()
    [2.0, 0.0, -2.0]
    """
    kernels = [matrix for layer in layers for matrix in layer.matrices]
    sizes = {tuple(kernel.shape) for kernel in kernels}
    if len(kernels) > conv.weight.shape[0] or sizes - {tuple(conv.weight.shape[2:])}:
        wanted = tuple(conv.weight.shape)
        raise ShapeError(f"initialize_: {len(kernels)} kernels of {sorted(sizes)} do not fit into a weight {wanted}.")
    with no_grad():
        for i, kernel in enumerate(kernels):
            conv.weight[i] = kernel.to(conv.weight.dtype) / conv.weight.shape[1]
            if conv.bias is not None:
                conv.bias[i] = 0.0
    return conv


# ------------------------------------------------------------------------------------------------- the kernels


def identity(size: int = 3, **options: Any) -> HandmadeConv2d:
    """A 1 in the middle of zeros: the image itself. Options as `HandmadeConv2d`.

    >>> import chainrule
    >>> x = chainrule.rand(1, 1, 5, 5)
    >>> chainrule.equal(identity()(x), x)
    True
    """
    middle = _odd(size) // 2
    matrix = [[float(i == j == middle) for j in range(size)] for i in range(size)]
    return HandmadeConv2d([matrix], "identity", **options)


def laplacian(neighbours: int = 8, **options: Any) -> HandmadeConv2d:
    """Edges in all directions: the pixel times 8 (or 4) minus its neighbours; 0 where the image is flat or a slope.

    neighbours: 8, as in I III.4, or 4, −(∂²/∂x² + ∂²/∂y²) by second differences. Options as `HandmadeConv2d`.

    >>> import chainrule
    >>> laplacian(4, padding=0)(chainrule.tensor([[[[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]]]))
    tensor([[[[4.]]]])
    """
    if neighbours not in (4, 8):
        raise ValueError(f"laplacian: a pixel has 4 or 8 neighbours, got {neighbours}.")
    corner = -1.0 if neighbours == 8 else 0.0
    matrix = [[corner, -1.0, corner], [-1.0, float(neighbours), -1.0], [corner, -1.0, corner]]
    return HandmadeConv2d([matrix], f"laplacian {neighbours}", **options)


def sobel(direction: str = "x", **options: Any) -> HandmadeConv2d:
    """The slope along x (to the right) or y (downwards), smoothed across: S_x = (1, 2, 1)ᵀ·(1, 0, −1), S_y = S_xᵀ.

    On a slope of 1 per pixel it gives −8, and with `flip=True`, as true convolution, +8 (see the module).
    Options as `HandmadeConv2d`. Source: E 4.2.2, I III.4.

    >>> import chainrule
    >>> slope = chainrule.arange(5.0).expand(1, 1, 5, 5)
    >>> sobel("x", padding=0)(slope)[0, 0, 0].tolist(), sobel("x", padding=0, flip=True)(slope)[0, 0, 0].tolist()
    ([-8.0, -8.0, -8.0], [8.0, 8.0, 8.0])
    """
    return HandmadeConv2d([_across([1.0, 2.0, 1.0], [1.0, 0.0, -1.0], direction)], f"sobel {direction}", **options)


def prewitt(direction: str = "x", **options: Any) -> HandmadeConv2d:
    """As `sobel`, smoothed by (1, 1, 1): −6 on a slope of 1 per pixel.

    >>> import chainrule
    >>> prewitt("y", padding=0)(chainrule.arange(3.0).reshape(1, 1, 3, 1).expand(1, 1, 3, 3)).item()
    -6.0
    """
    return HandmadeConv2d([_across([1.0, 1.0, 1.0], [1.0, 0.0, -1.0], direction)], f"prewitt {direction}", **options)


def difference(direction: str = "x", order: int = 1, scheme: str = "forward", **options: Any) -> HandmadeConv2d:
    """Finite differences along x (to the right) or y (downwards), of first or second order, as a 3×3 kernel.

    order 1: "forward" X[i + 1] − X[i] (H 1), "backward" X[i] − X[i − 1] or "central" (X[i + 1] − X[i − 1])/2; order 2:
    X[i + 1] − 2X[i] + X[i − 1]. What is outside is 0, as in H 1. Options as `HandmadeConv2d`.
    H 1's filter in ℝ²ˣ³ˣ³ is `bank(difference("y"), difference("x"))`.

    >>> import chainrule
    >>> difference("x")(chainrule.tensor([[[[1.0, 4.0, 9.0]]]]))
    tensor([[[[ 3.,  5., -9.]]]])
    """
    rows = {
        (1, "forward"): [0.0, -1.0, 1.0],
        (1, "backward"): [-1.0, 1.0, 0.0],
        (1, "central"): [-0.5, 0.0, 0.5],
        (2, scheme): [1.0, -2.0, 1.0],
    }
    if (order, scheme) not in rows or scheme not in ("forward", "backward", "central"):
        raise ValueError(
            f"difference: order is 1 or 2 and scheme 'forward', 'backward' or 'central', got {order} and {scheme!r}."
        )
    name = f"difference {direction}" if order == 1 else f"second difference {direction}"
    return HandmadeConv2d([_across([0.0, 1.0, 0.0], rows[order, scheme], direction)], name, **options)


def box_blur(size: int = 3, **options: Any) -> HandmadeConv2d:
    """The mean of size×size pixels. Options as `HandmadeConv2d`.

    >>> import chainrule
    >>> box_blur(3, padding=0)(chainrule.arange(9.0).reshape(1, 1, 3, 3))
    tensor([[[[4.]]]])
    """
    if size < 1:
        raise ShapeError(f"box_blur: the size is at least 1, got {size}.")
    return HandmadeConv2d([[[1 / size**2] * size] * size], f"box blur {size}", **options)


def average_pooling(size: int, **options: Any) -> HandmadeConv2d:
    """Average pooling as a convolution: the weights 1/size², stride `size`, no padding, each channel by itself (H 2).

    >>> import chainrule
    >>> x = chainrule.rand(2, 3, 6, 6)
    >>> chainrule.allclose(average_pooling(2, channels=3)(x), chainrule.nn.functional.avg_pool2d(x, 2))
    True
    """
    return box_blur(size, **{"stride": size, "padding": 0, **options})


def gaussian_blur(size: int = 3, sigma: float | None = None, **options: Any) -> HandmadeConv2d:
    """A mean with weights ∝ e^(−r²/2σ²), which fall off with the distance r. Options as `HandmadeConv2d`.

    size: an odd number. Without sigma the weights are binomial coefficients, whose variance is (size − 1)/4:
    1/16·[[1, 2, 1], [2, 4, 2], [1, 2, 1]] for 3×3, the kernel of E 4.2.2 and I III.4.

    >>> (gaussian_blur().weight[0, 0] * 16).tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    middle = _odd(size) // 2
    if sigma is None:
        row = [float(math.comb(size - 1, i)) for i in range(size)]
    elif sigma > 0:
        row = [math.exp(-((i - middle) ** 2) / (2 * sigma**2)) for i in range(size)]
    else:
        raise ValueError(f"gaussian_blur: sigma is above 0, got {sigma}.")
    shares = [weight / sum(row) for weight in row]
    name = f"gaussian blur {size}" + ("" if sigma is None else f", sigma={sigma}")
    return HandmadeConv2d([_across(shares, shares, "x")], name, **options)


def sharpen(**options: Any) -> HandmadeConv2d:
    """The image plus its edges: identity + 4-neighbour Laplacian. Options as `HandmadeConv2d`. Source: I III.4.

    >>> sharpen().weight[0, 0].tolist()
    [[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]
    """
    return HandmadeConv2d([[[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]]], "sharpen", **options)


def grey(trainable: bool = False, device: Any = None, dtype: Any = None) -> Conv2d:
    """Colour to grey as a 1×1 convolution: 0.299 R + 0.587 G + 0.114 B, the luminance Y of ITU-R BT.601 (H 3).

    Input (N, 3, H, W), output (N, 1, H, W).

    >>> import chainrule
    >>> grey()(chainrule.tensor([1.0, 0.0, 1.0]).reshape(1, 3, 1, 1))
    tensor([[[[0.4130]]]])
    """
    layer = Conv2d(3, 1, 1, bias=False, device=device, dtype=dtype)
    with no_grad():
        layer.weight.copy_(tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1))
    layer.weight.requires_grad_(trainable)
    return layer


def _odd(size: int) -> int:
    if size < 1 or size % 2 == 0:
        raise ShapeError(f"a kernel with a middle has an odd size, got {size}.")
    return size


def _across(down: Sequence[float], right: Sequence[float], direction: str) -> list[list[float]]:
    """The product of a column and a row; for "y" transposed."""
    if direction not in ("x", "y"):
        raise ValueError(f"direction is 'x' (to the right) or 'y' (downwards), got {direction!r}.")
    matrix = [[a * b for b in right] for a in down]
    return matrix if direction == "x" else [list(column) for column in zip(*matrix, strict=True)]
