"""Scripts of the field, unchanged but for the import: `python -m benchmarks.scripts` measures their training steps.

Each function below is what a tutorial's script does for one batch, written once: `torch` is PyTorch, or chainrule. Both
begin with the same weights; the first losses must agree but for what dropout and noise draw. Eager code is compared
with eager code, then a compiled step of ours with PyTorch eager and by `torch.compile`. Each competitor is in a
process of its own; they take turns. `--only WORD,WORD` measures the rows that contain one,
`--json FILE` keeps the compiled figures.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import Apart, chosen, print_rows, row_options, same_loss, serve_many

Wrap = Callable[[Any], Any]
#: A network, its optimiser, its loss for a batch, and the batch.
Script = tuple[Any, Any, Callable[..., Any], tuple[Any, ...]]


def mnist(torch: Any, wrap: Wrap) -> Script:
    """Two convolutions and two linear layers with dropout, Adadelta, batches of 64."""
    nn, F = torch.nn, torch.nn.functional

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
            self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
            self.fc1, self.fc2 = nn.Linear(9216, 128), nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            x = F.relu(self.conv2(F.relu(self.conv1(x))))
            x = torch.flatten(self.dropout1(F.max_pool2d(x, 2)), 1)
            x = self.dropout2(F.relu(self.fc1(x)))
            return F.log_softmax(self.fc2(x), dim=1)

    net = Net()
    run = wrap(net)
    return (
        net,
        torch.optim.Adadelta(net.parameters(), lr=1.0),
        lambda x, y: F.nll_loss(run(x), y),
        (pixels(torch, 64), torch.arange(64) % 10),
    )


def vae(torch: Any, wrap: Wrap) -> Script:
    """A variational autoencoder 784-400-20, Adam, batches of 128."""
    nn, F = torch.nn, torch.nn.functional

    class VAE(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc21, self.fc22 = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
            self.fc3, self.fc4 = nn.Linear(20, 400), nn.Linear(400, 784)

        def forward(self, x: Any) -> Any:
            h = F.relu(self.fc1(x.view(-1, 784)))
            mu, logvar = self.fc21(h), self.fc22(h)
            std = torch.exp(0.5 * logvar)
            z = mu + torch.randn_like(std) * std
            return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar

    net = VAE()
    run = wrap(net)

    def loss(x: Any) -> Any:
        found, mu, logvar = run(x)
        bce = F.binary_cross_entropy(found, x.view(-1, 784), reduction="sum")
        return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())

    return net, torch.optim.Adam(net.parameters(), lr=1e-3), loss, (pixels(torch, 128),)


def gpt(torch: Any, wrap: Wrap) -> Script:
    """A character GPT of 4 layers, 4 heads, width 128, 64 characters, AdamW, batches of 12."""
    nn, F = torch.nn, torch.nn.functional
    width, heads, length, vocabulary = 128, 4, 64, 65

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            B, T, C = x.size()
            parts = self.c_attn(self.ln_1(x)).split(C, dim=2)
            q, k, v = (part.view(B, T, heads, C // heads).transpose(1, 2) for part in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
            return x + self.mlp(self.ln_2(x))

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.h = nn.ModuleList([Block() for _ in range(4)])
            self.ln_f, self.lm_head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, idx: Any) -> Any:
            x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
            for block in self.h:
                x = block(x)
            return self.lm_head(self.ln_f(x))

    net = GPT()
    run = wrap(net)
    words = characters(torch, (12, length + 1), vocabulary)
    return (
        net,
        torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1),
        lambda x, y: F.cross_entropy(run(x).view(-1, vocabulary), y.reshape(-1)),
        (words[:, :-1], words[:, 1:]),
    )


def transformer(torch: Any, wrap: Wrap) -> Script:
    """Two of `nn`'s encoder layers, width 64, 4 heads, 16 words, Adam, batches of 32."""
    nn, F = torch.nn, torch.nn.functional
    layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    net = nn.Sequential(nn.Embedding(100, 64), nn.TransformerEncoder(layer, 2), nn.Linear(64, 100))
    run = wrap(net)
    words = characters(torch, (32, 16), 100)
    return (
        net,
        torch.optim.Adam(net.parameters(), lr=1e-3),
        lambda x: F.cross_entropy(run(x).flatten(0, 1), x.flatten()),
        (words,),
    )


def pixels(torch: Any, count: int) -> Any:
    """Images of MNIST's size; half of the pixels are 0."""
    values = np.maximum(np.random.default_rng(0).uniform(-1, 1, (count, 1, 28, 28)), 0)
    return torch.tensor(values.astype(np.float32))


def characters(torch: Any, shape: tuple[int, ...], vocabulary: int) -> Any:
    """Numbers of words, int64."""
    return torch.tensor(np.random.default_rng(0).integers(0, vocabulary, shape))


SCRIPTS = {"mnist": mnist, "vae": vae, "gpt": gpt, "transformer": transformer}
#: Each competitor: its package, and whether it compiles.
SIDES = {
    "eager": ("chainrule", False),
    "chainrule": ("chainrule", True),
    "PyTorch": ("torch", False),
    "torch.compile": ("torch", True),
}


def made(side: str, name: str) -> Callable[[], float]:
    """A training step that ends when all is computed, with its loss."""
    package, compiled = SIDES[side]
    torch = importlib.import_module(package)
    torch.manual_seed(0)  # so that what dropout draws, and with it the first losses, is the same in every run
    if package == "torch":
        torch.set_num_threads(2)
    wrap = torch.compile if compiled and package == "torch" else lambda network: network
    network, optimizer, loss_of, batch = SCRIPTS[name](torch, wrap)
    random = np.random.default_rng(1)
    with torch.no_grad():
        for parameter in network.parameters():
            size = 1 / math.sqrt(parameter.shape[-1])
            parameter.copy_(torch.tensor(random.uniform(-size, size, tuple(parameter.shape)).astype(np.float32)))

    def step(*batch: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        if name == "gpt":
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return loss

    if compiled and package == "chainrule":
        step = torch.compile(step)
    return lambda: float(step(*batch).item())


def agree(name: str) -> None:
    """Both packages' first losses, from the same weights; what differs is what they draw. Raises where they do not."""
    draws = name in ("mnist", "vae")
    same_loss(name, made("eager", name)(), made("PyTorch", name)(), 0.05 if draws else 1e-4)


def main() -> None:
    """Measure, and print a row for each script."""
    options = row_options(__doc__, SIDES).parse_args()
    if options.side:
        serve_many(lambda name: made(options.side, name))
        return
    rows = chosen(SCRIPTS, options.only)
    for name in rows:
        agree(name)
    for sides, file in (["eager", "PyTorch"], None), (["chainrule", "PyTorch", "torch.compile"], options.json):
        competitors = {side: Apart("benchmarks.scripts", "--side", side) for side in sides}
        print_rows(competitors, dict.fromkeys(rows, sides), options.rounds, file)


if __name__ == "__main__":
    main()
