"""Weights as old files have them: in a wrapper's names, and from before batch norm counted its batches."""

import copy
import os
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn

numbers = np.random.default_rng(11)


class Block(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))

    def forward(self, x):
        residual = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += residual
        return self.relu(out)


class SmallNet(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.features = nn.Sequential(Block(1, 4), Block(4, 8, 2))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.fc(torch.flatten(x, 1))


def old_state(model):
    """A plain dictionary, as files from 2017 hold it."""
    state = OrderedDict()
    for name, value in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            made = (
                numbers.uniform(0.5, 1.5, tuple(value.shape))
                if "var" in name
                else numbers.normal(0, 0.3, tuple(value.shape))
            )
            state["module." + name] = torch.tensor(made, dtype=torch.float32)
    return state


model = nn.DataParallel(SmallNet())
torch.save({"epoch": 7, "arch": "smallnet", "state_dict": old_state(model.module), "best_prec1": 71.5}, "old.pth.tar")
checkpoint = torch.load("old.pth.tar", map_location=lambda storage, loc: storage)
print("=> loaded checkpoint (epoch {})".format(checkpoint["epoch"]), checkpoint["arch"], checkpoint["best_prec1"])
missing = model.load_state_dict(checkpoint["state_dict"])
print(missing.missing_keys, missing.unexpected_keys)

# the same for a model without the wrapper: the prefix is taken off
plain = SmallNet()
try:
    plain.load_state_dict(checkpoint["state_dict"])
except RuntimeError as error:
    print("not without the prefix taken off:", "module." in str(error))
new_state_dict = OrderedDict((k[7:] if k.startswith("module.") else k, v) for k, v in checkpoint["state_dict"].items())
plain.load_state_dict(new_state_dict)
x = torch.from_numpy(numbers.normal(0, 1, (4, 1, 8, 8)).astype("float32"))
model.eval(), plain.eval()
with torch.no_grad():
    print("outputs", model(x), (model(x) - plain(x)).abs().max().item())

# fine-tune the last layer, with the best weights kept
for param in plain.parameters():
    param.requires_grad = False
plain.fc = nn.Linear(plain.fc.in_features, 2)
plain.fc.weight.data.copy_(torch.from_numpy(numbers.normal(0, 0.3, (2, 8))))
plain.fc.bias.data.zero_()
optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, plain.parameters()), lr=0.5)
best, target = None, torch.tensor([0, 1, 1, 0])
for epoch in range(4):
    plain.train()
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(plain(x), target)
    loss.backward()
    optimizer.step()
    print("epoch", epoch, "loss", loss.item(), "batches", plain.features[0].bn1.num_batches_tracked.item())
    if best is None or loss.item() < best[0]:
        best = (loss.item(), copy.deepcopy(plain.state_dict()))
plain.load_state_dict(best[1])
print("best", best[0], plain.features[1].downsample[1].running_mean[:3])
print(sorted(f for f in os.listdir(".") if f.endswith(".tar")))
