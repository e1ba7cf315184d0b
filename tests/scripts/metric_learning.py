"""Embeddings in which what is alike lies together: hard triplets, an angular margin, contrast of two views."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn import Parameter
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

numbers = np.random.default_rng(12)
CLASSES, PER_CLASS = 5, 8
prototypes = numbers.normal(0, 1, (CLASSES, 12))
y = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
x = torch.from_numpy(prototypes[y.numpy()] + numbers.normal(0, 0.7, (len(y), 12))).float()


def normal_(tensor, std=0.3):
    with torch.no_grad():
        return tensor.copy_(torch.from_numpy(numbers.normal(0, std, tuple(tensor.shape))))


class EmbeddingNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 24), nn.PReLU(), nn.Linear(24, 6))
        for p in self.layers.parameters():
            if p.ndim > 1:
                normal_(p)
        nn.init.zeros_(self.layers[0].bias)
        nn.init.zeros_(self.layers[2].bias)

    def forward(self, x):
        return F.normalize(self.layers(x), p=2, dim=1)


class ArcMarginProduct(nn.Module):
    def __init__(self, in_features, out_features, s=16.0, m=0.30, easy_margin=False):
        super(ArcMarginProduct, self).__init__()
        self.s, self.m, self.easy_margin = s, m, easy_margin
        self.weight = Parameter(torch.FloatTensor(out_features, in_features))
        normal_(self.weight)
        self.cos_m, self.sin_m = math.cos(m), math.sin(m)
        self.th, self.mm = math.cos(math.pi - m), math.sin(math.pi - m) * m

    def forward(self, input, label):
        cosine = F.linear(F.normalize(input), F.normalize(self.weight))
        sine = torch.sqrt((1.0 - torch.pow(cosine, 2)).clamp(0, 1))
        phi = cosine * self.cos_m - sine * self.sin_m
        phi = (
            torch.where(cosine > 0, phi, cosine)
            if self.easy_margin
            else torch.where(cosine > self.th, phi, cosine - self.mm)
        )
        one_hot = torch.zeros(cosine.size())
        one_hot.scatter_(1, label.view(-1, 1).long(), 1)
        return ((one_hot * phi) + ((1.0 - one_hot) * cosine)) * self.s


def batch_hard_triplet_loss(labels, embeddings, margin, squared=False):
    dot = torch.matmul(embeddings, embeddings.t())
    square_norm = torch.diag(dot)
    distances = (square_norm.unsqueeze(0) - 2.0 * dot + square_norm.unsqueeze(1)).clamp(min=0)
    if not squared:
        mask = distances.eq(0).float()
        distances = (1.0 - mask) * torch.sqrt(distances + mask * 1e-16)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    positive = same & ~torch.eye(len(labels), dtype=torch.bool)
    hardest_positive, _ = (positive * distances).max(1, keepdim=True)
    max_dist, _ = distances.max(1, keepdim=True)
    hardest_negative, _ = (distances + max_dist * same).min(1, keepdim=True)
    return F.relu(hardest_positive - hardest_negative + margin).mean()


def nt_xent(one, two, temperature=0.5):
    z = torch.cat([one, two])
    sim = z @ z.T / temperature
    sim.fill_diagonal_(float("-inf"))
    n = len(one)
    target = torch.cat([torch.arange(n) + n, torch.arange(n)])
    return F.cross_entropy(sim, target)


def recall_at_1(embeddings):
    d = torch.cdist(embeddings, embeddings)
    d.fill_diagonal_(float("inf"))
    return (y[d.argmin(1)] == y).float().mean().item()


loader = DataLoader(TensorDataset(x, y), batch_size=len(y))
for name in ("hard", "arc", "contrast", "triplet"):
    net, head = EmbeddingNet(), ArcMarginProduct(6, CLASSES)
    optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=0.2, momentum=0.5)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, threshold=1e-2)
    with torch.no_grad():
        before = recall_at_1(net(x))
    for epoch in range(6):
        for data, labels in loader:
            e = net(data)
            if name == "hard":
                loss = batch_hard_triplet_loss(labels, e, 0.3)
            elif name == "arc":
                loss = F.cross_entropy(head(e, labels), labels)
            elif name == "contrast":
                noise = torch.from_numpy(numbers.normal(0, 0.1, tuple(data.shape))).float()
                loss = nt_xent(e, net(data + noise))
            else:
                loss = F.triplet_margin_with_distance_loss(
                    e,
                    e.roll(1, 0),
                    e.roll(PER_CLASS, 0),
                    distance_function=lambda a, b: 1 - F.cosine_similarity(a, b),
                    margin=0.5,
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step(loss)
    with torch.no_grad():
        print(
            name,
            "loss",
            loss.item(),
            "before",
            before,
            "after",
            recall_at_1(net(x)),
            "lr",
            optimizer.param_groups[0]["lr"],
        )
with torch.no_grad():
    e = net(x)
    centres = torch.zeros(CLASSES, 6).index_add_(0, y, e) / torch.bincount(y).unsqueeze(1)
    within = torch.stack([(e[y == c] - centres[c]).pow(2).sum(1).mean() for c in range(CLASSES)])
    between = torch.pdist(centres)
print("within", within, "between", between.min().item(), between.max().item())
values, indices = torch.topk(e @ e.t(), 4, dim=1)
print("nearest", values[:2], y[indices[:2]])
sampler = WeightedRandomSampler(1.0 / torch.bincount(y)[y].double(), 20)
print(len(list(sampler)), sampler.replacement)
