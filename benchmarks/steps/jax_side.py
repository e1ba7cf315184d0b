"""The six workloads in JAX: pure functions, one jitted step with donated state, Adam by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.steps.workloads import RATE

Weights = dict[str, Any]


def linear(p: Weights, name: str, x: Any) -> Any:
    """x·Wᵀ + b."""
    return x @ p[name + ".weight"].T + p[name + ".bias"]


def conv(x: Any, w: Any, stride: int = 1, padding: int = 0) -> Any:
    """A convolution of images (N, H, W, C) with a weight (O, C, H, W)."""
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, w, (stride, stride), pads, dimension_numbers=("NHWC", "OIHW", "NHWC"))


def pool(x: Any) -> Any:
    """2×2 max pooling."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def norm(p: Weights, new: Weights, name: str, x: Any) -> Any:
    """Batch normalisation; the running statistics go into `new`."""
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    count = x.size / x.shape[-1]
    new[name + ".running_mean"] = 0.9 * p[name + ".running_mean"] + 0.1 * mean
    new[name + ".running_var"] = 0.9 * p[name + ".running_var"] + 0.1 * var * count / (count - 1)
    return (x - mean) * lax.rsqrt(var + 1e-5) * p[name + ".weight"] + p[name + ".bias"]


def mlp(p: Weights, x: Any) -> tuple[Any, Weights]:
    """784-512-512-10."""
    return linear(p, "4", jax.nn.relu(linear(p, "2", jax.nn.relu(linear(p, "0", x))))), {}


def lenet(p: Weights, x: Any) -> tuple[Any, Weights]:
    """LeNet-5 on images (N, 1, 28, 28)."""
    x = x.transpose(0, 2, 3, 1)
    x = pool(jax.nn.relu(conv(x, p["features.0.weight"], padding=2) + p["features.0.bias"]))
    x = pool(jax.nn.relu(conv(x, p["features.3.weight"]) + p["features.3.bias"]))
    x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
    x = jax.nn.relu(linear(p, "classifier.1", x))
    return linear(p, "classifier.5", jax.nn.relu(linear(p, "classifier.3", x))), {}


def resnet18(p: Weights, x: Any) -> tuple[Any, Weights]:
    """ResNet-18 with the CIFAR stem."""
    new: Weights = {}
    x = jax.nn.relu(norm(p, new, "bn1", conv(x.transpose(0, 2, 3, 1), p["conv1.weight"], padding=1)))
    for stage in range(1, 5):
        for block in range(2):
            b, stride = f"layer{stage}.{block}.", 2 if stage > 1 and block == 0 else 1
            y = jax.nn.relu(norm(p, new, b + "bn1", conv(x, p[b + "conv1.weight"], stride, 1)))
            y = norm(p, new, b + "bn2", conv(y, p[b + "conv2.weight"], 1, 1))
            if stride == 2:
                x = norm(p, new, b + "downsample.1", conv(x, p[b + "downsample.0.weight"], 2))
            x = jax.nn.relu(x + y)
    return linear(p, "fc", x.mean((1, 2))), new


def unet(p: Weights, x: Any) -> tuple[Any, Weights]:
    """U-Net of base 16 and depth 3."""
    new: Weights = {}

    def double(name: str, x: Any) -> Any:
        for c, n in ((0, 1), (3, 4)):
            x = jax.nn.relu(norm(p, new, f"{name}.{n}", conv(x, p[f"{name}.{c}.weight"], padding=1)))
        return x

    x, seen = x.transpose(0, 2, 3, 1), []
    for i in range(3):
        x = double(f"down.{i}", x)
        seen.append(x)
        x = pool(x)
    x = double("bottom", x)
    for i in range(3):
        w = p[f"grow.{i}.weight"]  # (in, out, 2, 2): each pixel becomes four
        n, h, width, _ = x.shape
        y = jnp.einsum("nhwc,cokl->nhkwlo", x, w).reshape(n, 2 * h, 2 * width, -1) + p[f"grow.{i}.bias"]
        x = double(f"up.{i}", jnp.concatenate([seen.pop(), y], -1))
    return (conv(x, p["head.weight"]) + p["head.bias"]), new


def transformer(p: Weights, tokens: Any) -> tuple[Any, Weights]:
    """The decoder Transformer."""

    def layer_norm(name: str, x: Any) -> Any:
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(var + 1e-5) * p[name + ".weight"] + p[name + ".bias"]

    n, t = tokens.shape
    x = p["embedding.weight"][tokens] + p[next(k for k in p if k.startswith("positions"))][:t]
    mask = jnp.tril(jnp.ones((t, t), bool))
    for i in range(4):
        b = f"blocks.{i}."
        inner = next(k for k in p if k.startswith(b + "attention") and k.endswith("in_proj_weight"))
        stem = inner.removesuffix("in_proj_weight")
        qkv = layer_norm(b + "norm1", x) @ p[inner].T + p[stem + "in_proj_bias"]
        q, k, v = (z.reshape(n, t, 4, 32).transpose(0, 2, 1, 3) for z in jnp.split(qkv, 3, -1))
        scores = jnp.where(mask, q @ k.transpose(0, 1, 3, 2) / 32**0.5, -jnp.inf)
        y = (jax.nn.softmax(scores, -1) @ v).transpose(0, 2, 1, 3).reshape(n, t, 128)
        x = x + y @ p[stem + "out_proj.weight"].T + p[stem + "out_proj.bias"]
        y = jax.nn.gelu(linear(p, b + "network.0", layer_norm(b + "norm2", x)), approximate=False)
        x = x + linear(p, b + "network.2", y)
    return layer_norm("norm", x) @ p["embedding.weight"].T, {}


def lstm(p: Weights, x: Any) -> tuple[Any, Weights]:
    """The LSTM by `lax.scan`, the inputs' products made at once."""
    gates = x.transpose(1, 0, 2) @ p["lstm.weight_ih_l0"].T + p["lstm.bias_ih_l0"] + p["lstm.bias_hh_l0"]
    start = jnp.zeros((x.shape[0], 256)), jnp.zeros((x.shape[0], 256))

    def step(carry: Any, g: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(g + h @ p["lstm.weight_hh_l0"].T, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return linear(p, "head", lax.scan(step, start, gates)[1].transpose(1, 0, 2)), {}


MODELS: dict[str, Callable[[Weights, Any], tuple[Any, Weights]]] = {
    "mlp": mlp, "lenet": lenet, "resnet18": resnet18, "unet": unet, "transformer": transformer, "lstm": lstm,
}  # fmt: skip


def jax_step(name: str, weights: Weights) -> Callable[[Any, Any], float]:
    """One jitted training step. Raises NotImplementedError for a workload that is not written in JAX."""
    if name not in MODELS:
        raise NotImplementedError(f"{name} is not written in JAX: {', '.join(MODELS)} are.")
    state = {k: jnp.asarray(v) for k, v in weights.items() if v.dtype.kind == "f" and "running" not in k}
    fixed = {k: jnp.asarray(v) for k, v in weights.items() if "running" in k}
    moments = {k: (jnp.zeros_like(v), jnp.zeros_like(v)) for k, v in state.items()}

    def loss_of(p: Weights, fixed: Weights, x: Any, y: Any) -> tuple[Any, Weights]:
        scores, new = MODELS[name]({**p, **fixed}, x)
        logs = jax.nn.log_softmax(scores, -1)
        return -jnp.take_along_axis(logs, y[..., None], -1).mean(), new

    def step(p: Weights, fixed: Weights, moments: Any, t: Any, x: Any, y: Any) -> Any:
        (loss, new), g = jax.value_and_grad(loss_of, has_aux=True)(p, fixed, x, y)
        t = t + 1
        m = {k: (0.9 * a + 0.1 * g[k], 0.999 * b + 0.001 * g[k] ** 2) for k, (a, b) in moments.items()}
        p = {k: v - RATE * (m[k][0] / (1 - 0.9**t)) / (jnp.sqrt(m[k][1] / (1 - 0.999**t)) + 1e-8) for k, v in p.items()}
        return p, {**fixed, **new}, m, t, loss

    run = jax.jit(step, donate_argnums=(0, 1, 2))
    held: dict[int, Any] = {}
    current: list[Any] = [state, fixed, moments, jnp.zeros(())]

    def call(x: Any, y: Any) -> float:
        for a in (x, y):
            if id(a) not in held:
                held[id(a)] = jnp.asarray(a)
        *current[:], loss = run(*current, held[id(x)], held[id(y)])
        return float(loss)

    return call
