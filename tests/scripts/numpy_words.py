"""Attention, normalisation and clustering written out by somebody who knows NumPy: axis, keepdims and the like."""

import numpy as np
import torch

numbers = np.random.default_rng(21)
x = torch.tensor(numbers.normal(0, 1, (3, 5, 4)), dtype=torch.float32, requires_grad=True)
wq, wk, wv = (torch.tensor(numbers.normal(0, 0.5, (4, 4)), dtype=torch.float32) for _ in range(3))


def softmax(z, axis):
    z = z - z.max(axis=axis, keepdims=True)[0]
    e = torch.exp(z)
    return e / e.sum(axis=axis, keepdims=True)


def layer_norm(z):
    mean = z.mean(axis=-1, keepdims=True)
    var = ((z - mean) ** 2).mean(axis=-1, keepdims=True)
    return (z - mean) / torch.sqrt(var + 1e-5)


q, k, v = x @ wq, x @ wk, x @ wv
weights = softmax(q @ k.swapaxes(1, 2) / np.sqrt(4), axis=-1)
out = layer_norm(torch.concatenate([weights @ v, x], axis=2))
loss = (out**2 * torch.linspace(0, 1, 8)).sum()
loss.backward()
print("rows of weights add up to", weights.detach().sum(axis=2))
print("loss", loss.item(), "gradient", x.grad.std(axis=(0, 1), keepdims=True), x.grad.std(axis=1, correction=0)[0])

# k-means
points = torch.tensor(
    np.concatenate([numbers.normal(c, 0.4, (20, 2)) for c in ((0, 0), (3, 1), (1, 4))]), dtype=torch.float64
)
centres = points[[0, 25, 45]]
for step in range(4):
    distances = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    nearest = torch.argmin(distances, axis=1)
    centres = torch.stack([points[nearest == j].mean(axis=0) for j in range(3)], axis=0)
    print("step", step, "within", torch.amin(distances, axis=1).sum().item(), torch.bincount(nearest).tolist())
print("centres", centres)
d = torch.linalg.norm(points - centres[nearest], axis=1)
print(
    "distances", d.mean().item(), torch.quantile(d, 0.9).item(), torch.any(d > 1, axis=0).item(), torch.argmax(d).item()
)
order = torch.argsort(d, axis=0)
print("nearest", order[:5].tolist(), torch.cumsum(d[order][:4], axis=0), torch.flip(d[:3], dims=(0,)))
table = torch.arange(12.0).reshape(3, 4)
print(torch.median(table, axis=1).values, torch.prod(table + 1, axis=1), torch.logsumexp(table, axis=0, keepdims=True))
print(
    torch.split(table, 2, dim=1)[1], torch.squeeze(table[:, None], axis=1).shape, torch.unsqueeze(table, axis=0).shape
)
print(
    table.std(axis=0, keepdims=True),
    torch.all(table >= 0, axis=1, keepdims=True).shape,
    torch.count_nonzero(table).item(),
)
