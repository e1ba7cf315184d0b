"""Networks written once, in the words that chainrule and PyTorch share.

`layers` is `nn` of either, `functions` its `nn.functional`: so both compute the same, parameter by parameter.
"""

from __future__ import annotations

from typing import Any


def mobile(layers: Any) -> Any:
    """A stem and three inverted blocks as in MobileNetV2, without the sums."""

    def normalised(*settings: Any, active: bool = True, **more: Any) -> list[Any]:
        convolution = layers.Conv2d(*settings, bias=False, **more)
        return [convolution, layers.BatchNorm2d(settings[1]), *[layers.ReLU6()] * active]

    parts = normalised(3, 32, 3, padding=1)
    for before, after, stride in [(32, 32, 1), (32, 48, 2), (48, 48, 1)]:
        wide = 6 * before
        parts += normalised(before, wide, 1)
        parts += normalised(wide, wide, 3, stride=stride, padding=1, groups=wide)
        parts += normalised(wide, after, 1, active=False)
    return layers.Sequential(*parts, layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(48, 10))


def recurrent(layers: Any, kind: str) -> Any:
    """An LSTM or a GRU, 64 → 256, and the scores of one of 65 words at each step (N, T, 65)."""

    class Recurrent(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = getattr(layers, kind)(64, 256, batch_first=True)
            self.head = layers.Linear(256, 65)

        def forward(self, x: Any) -> Any:
            return self.head(self.cells(x)[0])

    return Recurrent()


def block(layers: Any, functions: Any, width: int, heads: int, causal: bool) -> Any:
    """A Transformer's block, normalised first: attention and a network of 4·width, each with a shortcut around it."""

    class Block(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = layers.LayerNorm(width), layers.LayerNorm(width)
            self.sums, self.out = layers.Linear(width, 3 * width), layers.Linear(width, width)
            self.up, self.down = layers.Linear(width, 4 * width), layers.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, length, _ = x.shape
            parts = self.sums(self.norm1(x)).chunk(3, -1)
            q, k, v = [part.reshape(n, length, heads, width // heads).transpose(1, 2) for part in parts]
            found = functions.scaled_dot_product_attention(q, k, v, is_causal=causal)
            x = x + self.out(found.transpose(1, 2).reshape(n, length, width))
            return x + self.down(functions.gelu(self.up(self.norm2(x))))

    return Block()


def vision_transformer(layers: Any, functions: Any) -> Any:
    """Images (N, 3, 32, 32) in patches of 4×4, 6 blocks of 192 features, the mean over patches, 10 scores."""

    class VisionTransformer(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.places = layers.Conv2d(3, 192, 4, 4), layers.Embedding(64, 192)
            self.blocks = layers.ModuleList([block(layers, functions, 192, 3, False) for _ in range(6)])
            self.norm, self.head = layers.LayerNorm(192), layers.Linear(192, 10)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2) + self.places.weight
            for each in self.blocks:
                x = each(x)
            return self.head(self.norm(x).mean(1))

    return VisionTransformer()


def language_model(layers: Any, functions: Any) -> Any:
    """Of GPT-2's size: 12 blocks of 768 features, 50,257 words whose vectors are the head too; here of 64 places."""

    class LanguageModel(layers.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = layers.Embedding(50257, 768), layers.Embedding(64, 768)
            for table in (self.words, self.places):
                layers.init.normal_(table.weight, 0.0, 0.02)
            self.blocks = layers.ModuleList([block(layers, functions, 768, 12, True) for _ in range(12)])
            self.norm = layers.LayerNorm(768)

        def forward(self, tokens: Any) -> Any:
            x = self.words(tokens) + self.places.weight
            for each in self.blocks:
                x = each(x)
            return functions.linear(self.norm(x), self.words.weight)

    return LanguageModel()
