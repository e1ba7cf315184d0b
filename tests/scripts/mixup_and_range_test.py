"""Images mixed with each other, a search for the learning rate, and a policy of one cycle for rate and momentum."""

import math

import numpy as np
import torch
from torch import nn, optim
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

numbers = np.random.default_rng(5)


class Stripes(Dataset):
    def __init__(self, n, transform=None):
        self.targets = [i % 3 for i in range(n)]
        self.data = np.zeros((n, 1, 12, 12), dtype=np.float32)
        for i, t in enumerate(self.targets):
            self.data[i, 0] = [np.eye(12), np.eye(12)[::-1], np.tile([1, 0], (12, 6))][t]
        self.data += numbers.normal(0, 0.8, self.data.shape)
        self.transform = transform

    def __getitem__(self, i):
        x = torch.as_tensor(self.data[i])
        return (self.transform(x) if self.transform else x), self.targets[i]

    def __len__(self):
        return len(self.targets)


class BalancedSampler(Sampler):
    """Every class in turn."""

    def __init__(self, targets):
        self.by_class = [[i for i, t in enumerate(targets) if t == c] for c in sorted(set(targets))]

    def __iter__(self):
        for group in zip(*self.by_class):
            yield from group

    def __len__(self):
        return min(map(len, self.by_class)) * len(self.by_class)


class ResidualBlock(nn.Module):
    def __init__(self, channels):
        super(ResidualBlock, self).__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.act = nn.SiLU()

    def forward(self, x):
        out = self.act(self.bn1(self.conv1(x)))
        return self.act(x + self.bn2(self.conv2(out)))


def make():
    rng = np.random.default_rng(1)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.SiLU(), ResidualBlock(6),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    for name, p in net.named_parameters():
        if p.dim() > 1:
            fan = nn.init._calculate_fan_in_and_fan_out(p)[0]
            p.data = torch.tensor(rng.normal(0, math.sqrt(2 / fan), p.shape), dtype=torch.float32)
    nn.init.zeros_(net[-1].bias)
    return net


def rand_bbox(size, lam):
    W, H = size[2], size[3]
    cut_rat = np.sqrt(1.0 - lam)
    cut_w, cut_h = int(W * cut_rat), int(H * cut_rat)
    cx, cy = numbers.integers(W), numbers.integers(H)
    x1, x2 = np.clip(cx - cut_w // 2, 0, W), np.clip(cx + cut_w // 2, 0, W)
    y1, y2 = np.clip(cy - cut_h // 2, 0, H), np.clip(cy + cut_h // 2, 0, H)
    return x1, y1, x2, y2


def mixed(x, y, kind, alpha=1.0):
    lam = numbers.beta(alpha, alpha)
    index = torch.from_numpy(numbers.permutation(x.size(0)))
    if kind == "mixup":
        return lam * x + (1 - lam) * x[index, :], y, y[index], lam
    x = x.clone()
    x1, y1, x2, y2 = rand_bbox(x.size(), lam)
    x[:, :, x1:x2, y1:y2] = x[index, :, x1:x2, y1:y2]
    return x, y, y[index], 1 - ((x2 - x1) * (y2 - y1) / (x.size()[-1] * x.size()[-2]))


dataset = Stripes(48, transform=lambda x: (x - 0.5) / 0.5)
loader = DataLoader(dataset, batch_sampler=BatchSampler(BalancedSampler(dataset.targets), 12, drop_last=True))
criterion = nn.CrossEntropyLoss()

# the range test
net = make()
optimizer = optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
gamma = (1.0 / 1e-4) ** (1 / 15)
scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda step: gamma**step)
avg_loss, best, losses, rates = 0.0, float("inf"), [], []
batches = iter(loader)
for num in range(1, 17):
    try:
        x, y = next(batches)
    except StopIteration:
        batches = iter(loader)
        x, y = next(batches)
    optimizer.zero_grad()
    loss = criterion(net(x), y)
    avg_loss = 0.9 * avg_loss + 0.1 * loss.item()
    smoothed = avg_loss / (1 - 0.9**num)
    if num > 1 and smoothed > 4 * best:
        break
    best = min(best, smoothed)
    losses.append(smoothed)
    rates.append(optimizer.param_groups[0]["lr"])
    loss.backward()
    optimizer.step()
    scheduler.step()
steepest = int(np.gradient(np.array(losses[:8])).argmin())
print("rates", [f"{r:.2e}" for r in rates[:4]], "losses", [f"{v:.4f}" for v in losses[:8]], "steepest", steepest)

# the cycle
net = make()
optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, epochs=5, steps_per_epoch=len(loader), pct_start=0.3)
for epoch in range(5):
    net.train()
    total, correct = 0, 0.0
    for i, (x, y) in enumerate(loader):
        x, target_a, target_b, lam = mixed(x, y, "mixup" if i % 2 else "cutmix")
        outputs = net(x)
        loss = lam * criterion(outputs, target_a) + (1 - lam) * criterion(outputs, target_b)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        _, predicted = torch.max(outputs.data, 1)
        total += y.size(0)
        correct += (
            lam * predicted.eq(target_a.data).cpu().sum().float()
            + (1 - lam) * predicted.eq(target_b.data).cpu().sum().float()
        )
    group = optimizer.param_groups[0]
    print(
        "epoch %d loss %.5f acc %.3f lr %.6f momentum %.6f"
        % (epoch, loss.item(), 100.0 * correct / total, group["lr"], group["momentum"])
    )
soft = torch.full((12, 3), 0.1 / 3).scatter_(1, y.unsqueeze(1), 0.9 + 0.1 / 3)
print("soft", criterion(outputs, soft).item(), "hard", criterion(outputs, y).item())
