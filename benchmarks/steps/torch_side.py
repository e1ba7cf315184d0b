"""The workloads in PyTorch, with our models' names, so that our weights load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.steps.networks import language_model, mobile, recurrent, vision_transformer
from benchmarks.steps.workloads import RATE, cross_entropy
from chainrule.backends.native.run.processor import usable_cores


class LeNet5(nn.Module):
    """As chainrule.models.LeNet5 for 28×28."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    def forward(self, x: Any) -> Any:
        """Scores."""
        return self.classifier(self.features(x))


class Block(nn.Module):
    """A basic block of a ResNet."""

    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or before != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Any) -> Any:
        """One block."""
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """With the CIFAR stem."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        before = 64
        for stage in range(1, 5):
            channels = 32 * 2**stage
            blocks = [Block(before, channels, 1 if stage == 1 else 2), Block(channels, channels, 1)]
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            before = channels
        self.fc = nn.Linear(512, 10)

    def forward(self, x: Any) -> Any:
        """Scores."""
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


def _double(before: int, channels: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for c in (before, channels):
        parts += [nn.Conv2d(c, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()]
    return nn.Sequential(*parts)


class UNet(nn.Module):
    """Base 16, depth 3."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([_double(3, 16), _double(16, 32), _double(32, 64)])
        self.bottom = _double(64, 128)
        self.grow = nn.ModuleList([nn.ConvTranspose2d(2 * c, c, 2, 2) for c in (64, 32, 16)])
        self.up = nn.ModuleList([_double(2 * c, c) for c in (64, 32, 16)])
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Any) -> Any:
        """Scores for every pixel."""
        seen = []
        for block in self.down:
            x = block(x)
            seen.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for grow, block in zip(self.grow, self.up):
            x = block(torch.cat([seen.pop(), grow(x)], 1))
        return self.head(x)


class Decoder(nn.Module):
    """Our decoder Transformer, from our weights by name."""

    def __init__(self, weights: dict[str, Any]) -> None:
        super().__init__()
        self.names = {name: name.replace(".", "_") for name in weights}
        for name, array in weights.items():
            if array.dtype.kind == "f":
                self.register_parameter(self.names[name], nn.Parameter(torch.tensor(array)))

    def forward(self, tokens: Any, start: int = 0, caches: Any = None) -> Any:
        """Scores (N, T, 65).

        caches: of each layer memory (2, N, 4, capacity, 32) for keys and values, known before place `start`, where
        these tokens stand.
        """
        p = {name: getattr(self, own) for name, own in self.names.items() if hasattr(self, own)}
        n, t = tokens.shape
        x = p["embedding.weight"][tokens] + p[next(k for k in p if k.startswith("positions"))][start : start + t]
        for i in range(4):
            b = f"blocks.{i}."
            y = F.layer_norm(x, (128,), p[b + "norm1.weight"], p[b + "norm1.bias"])
            inner = next(k for k in p if k.startswith(b + "attention") and k.endswith("in_proj_weight"))
            stem = inner.removesuffix("in_proj_weight")
            qkv = F.linear(y, p[inner], p[stem + "in_proj_bias"])
            q, k, v = (z.view(n, t, 4, 32).transpose(1, 2) for z in qkv.chunk(3, -1))
            if caches is not None:
                caches[i][0, :, :, start : start + t], caches[i][1, :, :, start : start + t] = k, v
                k, v = caches[i][:, :, :, : start + t]
            y = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1).transpose(1, 2).reshape(n, t, 128)
            x = x + F.linear(y, p[stem + "out_proj.weight"], p[stem + "out_proj.bias"])
            y = F.layer_norm(x, (128,), p[b + "norm2.weight"], p[b + "norm2.bias"])
            y = F.gelu(F.linear(y, p[b + "network.0.weight"], p[b + "network.0.bias"]))
            x = x + F.linear(y, p[b + "network.2.weight"], p[b + "network.2.bias"])
        return F.linear(F.layer_norm(x, (128,), p["norm.weight"], p["norm.bias"]), p["embedding.weight"])


class Recurrent(nn.Module):
    """An LSTM and the scores of a word at each step."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 256, batch_first=True), nn.Linear(256, 65)

    def forward(self, x: Any) -> Any:
        """Scores (N, T, 65)."""
        return self.head(self.lstm(x)[0])


def model_of(name: str, weights: dict[str, Any]) -> nn.Module:
    """The model with our weights."""
    if name == "transformer":
        return Decoder(weights)
    plain: dict[str, Callable[[], nn.Module]] = {
        "mlp": lambda: nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        ),
        "lenet": LeNet5, "resnet18": ResNet18, "unet": UNet, "lstm": Recurrent, "mobilenet": lambda: mobile(nn),
        "gru": lambda: recurrent(nn, "GRU"), "vit": lambda: vision_transformer(nn, F),
        "gpt2": lambda: language_model(nn, F),
    }  # fmt: skip
    model = plain[name]()
    model.load_state_dict({key: torch.tensor(array) for key, array in weights.items()})
    return model


def torch_step(name: str, weights: dict[str, Any], mode: str, half: bool = False) -> Callable[[Any, Any], float]:
    """One training step; mode "eager", "channels last" or "compile"; with `half` under autocast to bfloat16."""
    torch.set_num_threads(usable_cores())
    model = model_of(name, weights).train()
    if mode == "channels last":
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    forward: Any = torch.compile(model) if mode == "compile" else model
    held: dict[int, Any] = {}

    def call(x: Any, y: Any) -> float:
        for a in (x, y):
            if id(a) not in held:
                held[id(a)] = torch.tensor(a)
                if mode == "channels last" and held[id(a)].ndim == 4:
                    held[id(a)] = held[id(a)].to(memory_format=torch.channels_last)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = cross_entropy(forward(held[id(x)]), held[id(y)], F)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return call
