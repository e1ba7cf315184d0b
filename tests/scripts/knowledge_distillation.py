"""A small network learns from a large one: soft targets, hints from hidden layers by hooks, and averaged weights."""

import copy

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.utils.data import DataLoader, TensorDataset, random_split

numbers = np.random.default_rng(21)
centres = numbers.normal(0, 1.5, (4, 10))
labels = np.arange(160) % 4
features = torch.from_numpy(centres[labels] + numbers.normal(0, 1, (160, 10))).float()
dataset = TensorDataset(features, torch.from_numpy(labels))


def mlp(*sizes):
    layers = []
    for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:])):
        layers.append(nn.Linear(a, b, bias=i == len(sizes) - 2))
        if i < len(sizes) - 2:
            layers += [nn.BatchNorm1d(b), nn.LeakyReLU(0.1)]
    net = nn.Sequential(*layers)
    for m in net.modules():
        if isinstance(m, nn.Linear):
            m.weight.data = torch.from_numpy(numbers.normal(0, m.in_features**-0.5, tuple(m.weight.shape))).float()
            if m.bias is not None:
                nn.init.zeros_(m.bias)
    return net


class ModelEMA:
    def __init__(self, model, decay=0.9):
        self.module = copy.deepcopy(model).eval()
        self.decay = decay
        for p in self.module.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        msd = model.state_dict()
        for k, v in self.module.state_dict().items():
            if v.dtype.is_floating_point:
                v *= self.decay
                v += (1.0 - self.decay) * msd[k].detach()


def loss_kd(outputs, labels, teacher_outputs, T=4.0, alpha=0.7):
    soft = nn.KLDivLoss(reduction="batchmean")(F.log_softmax(outputs / T, dim=1), F.softmax(teacher_outputs / T, dim=1))
    return soft * (alpha * T * T) + F.cross_entropy(outputs, labels) * (1.0 - alpha)


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return (net(x).argmax(1) == y).float().mean().item()


train_loader = DataLoader(dataset, 40)
teacher, student = mlp(10, 32, 32, 4), mlp(10, 8, 4)
optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-2, weight_decay=1e-2)
for epoch in range(4):
    for x, y in train_loader:
        teacher.train()
        loss = F.cross_entropy(teacher(x), y, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
print("teacher", loss.item(), accuracy(teacher, *dataset[:]))

activations = {}


def get_activation(name):
    def hook(module, inputs, output):
        activations[name] = output

    return hook


handles = [
    teacher[2].register_forward_hook(get_activation("teacher")),
    student[2].register_forward_hook(get_activation("student")),
]
regressor = nn.Linear(8, 32, bias=False)
nn.init.constant_(regressor.weight, 0.05)
optimizer = torch.optim.SGD(
    [{"params": student.parameters()}, {"params": regressor.parameters(), "lr": 0.01}],
    lr=0.1,
    momentum=0.9,
    nesterov=True,
)
warmup = LinearLR(optimizer, start_factor=0.1, total_iters=2)
scheduler = SequentialLR(optimizer, [warmup, CosineAnnealingLR(optimizer, T_max=4)], milestones=[2])
ema = ModelEMA(student)
teacher.eval()
for epoch in range(6):
    student.train()
    for x, y in train_loader:
        with torch.no_grad():
            wanted = teacher(x)
        out = student(x)
        hint = F.mse_loss(regressor(activations["student"]), activations["teacher"])
        loss = loss_kd(out, y, wanted) + 0.1 * hint
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        ema.update(student)
    scheduler.step()
    print(epoch, [round(lr, 6) for lr in scheduler.get_last_lr()], loss.item(), hint.item())
for handle in handles:
    handle.remove()
print("student", accuracy(student, *dataset[:]), "averaged", accuracy(ema.module, *dataset[:]))
print("weights", ema.module[0].weight.norm().item(), ema.module[1].running_var.mean().item())
sizes = [sum(p.numel() for p in net.parameters() if p.requires_grad) for net in (teacher, student, ema.module)]
print("parameters", sizes, len(random_split(dataset, [100, 60])[0]))
