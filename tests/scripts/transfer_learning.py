"""A network trained on one task is the start for another: all of it is trained on, or only a new last layer."""

import copy
import os
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.backends.cudnn as cudnn
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

cudnn.benchmark = True
random = np.random.default_rng(7)
device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")


def textures(count, kinds):
    """1×10×10 waves of several directions, with noise."""
    labels = random.integers(0, len(kinds), count)
    y, x = np.mgrid[:10, :10]
    angle = np.array(kinds)[labels][:, None, None]
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    waves = np.sin(x * np.cos(angle) + y * np.sin(angle) + phase) + random.normal(0, 0.2, (count, 10, 10))
    return TensorDataset(torch.tensor(waves[:, None], dtype=torch.float32), torch.from_numpy(labels))


def conv3x3(planes_in, planes):
    return nn.Conv2d(planes_in, planes, kernel_size=3, padding=1, bias=False)


class Block(nn.Module):
    def __init__(self, planes):
        super().__init__()
        self.conv1, self.bn1 = conv3x3(planes, planes), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = conv3x3(planes, planes), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x
        return self.relu(out)


class SmallResNet(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Sequential(conv3x3(1, 8), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.layer1 = nn.Sequential(Block(8), nn.MaxPool2d(2), Block(8))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        x = self.avgpool(self.layer1(self.stem(x)))
        return self.fc(torch.flatten(x, 1))


def start(module):
    for p in module.parameters():
        if p.dim() > 1:
            p.data.copy_(torch.from_numpy(random.normal(0, 0.4 / np.sqrt(p[0].numel() / 4), tuple(p.shape))))
        elif module.__class__ is nn.Linear:
            p.data.zero_()


def train_model(model, criterion, optimizer, scheduler, dataloaders, num_epochs=2):
    with TemporaryDirectory() as tempdir:
        best_model_params_path = os.path.join(tempdir, "best_model_params.pt")
        torch.save(model.state_dict(), best_model_params_path)
        best_acc = 0.0
        for epoch in range(num_epochs):
            for phase in ["train", "val"]:
                if phase == "train":
                    model.train()
                else:
                    model.eval()
                running_loss, running_corrects, seen = 0.0, 0, 0
                for inputs, labels in dataloaders[phase]:
                    inputs, labels = inputs.to(device), labels.to(device)
                    optimizer.zero_grad()
                    with torch.set_grad_enabled(phase == "train"):
                        outputs = model(inputs)
                        _, preds = torch.max(outputs, 1)
                        loss = criterion(outputs, labels)
                        if phase == "train":
                            loss.backward()
                            optimizer.step()
                    running_loss += loss.item() * inputs.size(0)
                    running_corrects += torch.sum(preds == labels.data)
                    seen += inputs.size(0)
                if phase == "train":
                    scheduler.step()
                epoch_acc = running_corrects.double() / seen
                print(f"{epoch} {phase} Loss: {running_loss / seen:.4f} Acc: {epoch_acc:.4f}")
                if phase == "val" and epoch_acc > best_acc:
                    best_acc = epoch_acc
                    torch.save(model.state_dict(), best_model_params_path)
        print(f"Best val Acc: {best_acc:4f}")
        model.load_state_dict(torch.load(best_model_params_path, weights_only=True))
    return model


def loaders(kinds):
    return {
        phase: DataLoader(textures(count, kinds), batch_size=16, shuffle=False, pin_memory=torch.cuda.is_available())
        for phase, count in (("train", 64), ("val", 32))
    }


criterion = nn.CrossEntropyLoss()
pretrained = SmallResNet(3).to(device)
pretrained.apply(lambda module: start(module) if not list(module.children()) else None)
optimizer = optim.Adam(pretrained.parameters(), lr=0.01)
scheduler = lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
pretrained = train_model(pretrained, criterion, optimizer, scheduler, loaders([0.0, 1.0, 2.0]), num_epochs=3)
torch.save({"model": pretrained.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, "pretrained.pt")

new_task = loaders([0.5, 2.5])
for fixed in (False, True):
    checkpoint = torch.load("pretrained.pt", map_location=device)
    print("from epoch", checkpoint["epoch"], "with", len(checkpoint["optimizer"]["state"]), "states")
    model_conv = SmallResNet(3)
    model_conv.load_state_dict(checkpoint["model"])
    if fixed:
        for param in model_conv.parameters():
            param.requires_grad = False
    num_ftrs = model_conv.fc.in_features
    model_conv.fc = nn.Linear(num_ftrs, 2)
    start(model_conv.fc)
    model_conv = model_conv.to(device)
    trained = [p for p in model_conv.parameters() if p.requires_grad]
    print("parameters trained:", sum(p.numel() for p in trained))
    optimizer_conv = optim.SGD(trained, lr=0.02, momentum=0.9)
    exp_lr_scheduler = lr_scheduler.StepLR(optimizer_conv, step_size=1, gamma=0.5)
    before = copy.deepcopy(model_conv.state_dict())
    model_conv = train_model(model_conv, criterion, optimizer_conv, exp_lr_scheduler, new_task)
    moved = [name for name, tensor in model_conv.state_dict().items() if not torch.equal(tensor, before[name])]
    print("moved:", len(moved), "stem.0.weight" in moved)
