"""Capsules that agree on what they see: dynamic routing, a margin loss, and pictures rebuilt from the chosen capsule."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

NUM_CLASSES = 3
NUM_ROUTING_ITERATIONS = 3
numbers = np.random.default_rng(77)


def normal(*shape, scale=0.2):
    return torch.from_numpy(scale * numbers.standard_normal(shape)).float()


def softmax(input, dim=1):
    transposed_input = input.transpose(dim, len(input.size()) - 1)
    softmaxed_output = F.softmax(transposed_input.contiguous().view(-1, transposed_input.size(-1)), dim=-1)
    return softmaxed_output.view(*transposed_input.size()).transpose(dim, len(input.size()) - 1)


class CapsuleLayer(nn.Module):
    def __init__(self, num_capsules, num_route_nodes, in_channels, out_channels, kernel_size=None, stride=None):
        super(CapsuleLayer, self).__init__()
        self.num_route_nodes = num_route_nodes
        self.num_capsules = num_capsules
        if num_route_nodes != -1:
            self.route_weights = nn.Parameter(normal(num_capsules, num_route_nodes, in_channels, out_channels))
        else:
            self.capsules = nn.ModuleList(
                [
                    nn.Conv2d(in_channels, out_channels, kernel_size=kernel_size, stride=stride)
                    for _ in range(num_capsules)
                ]
            )
            for capsule in self.capsules:
                capsule.weight.data, capsule.bias.data = normal(*capsule.weight.shape), normal(*capsule.bias.shape)

    def squash(self, tensor, dim=-1):
        squared_norm = (tensor**2).sum(dim=dim, keepdim=True)
        scale = squared_norm / (1 + squared_norm)
        return scale * tensor / torch.sqrt(squared_norm)

    def forward(self, x):
        if self.num_route_nodes != -1:
            priors = x[None, :, :, None, :] @ self.route_weights[:, None, :, :, :]
            logits = torch.zeros(*priors.size(), device=x.device)
            for i in range(NUM_ROUTING_ITERATIONS):
                probs = softmax(logits, dim=2)
                outputs = self.squash((probs * priors).sum(dim=2, keepdim=True))
                if i != NUM_ROUTING_ITERATIONS - 1:
                    delta_logits = (priors * outputs).sum(dim=-1, keepdim=True)
                    logits = logits + delta_logits
        else:
            outputs = [capsule(x).view(x.size(0), -1, 1) for capsule in self.capsules]
            outputs = self.squash(torch.cat(outputs, dim=-1))
        return outputs


class CapsuleNet(nn.Module):
    def __init__(self):
        super(CapsuleNet, self).__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, stride=1)
        self.conv1.weight.data = normal(8, 1, 3, 3, scale=0.4)
        self.primary_capsules = CapsuleLayer(4, -1, 8, 6, kernel_size=3, stride=2)
        self.digit_capsules = CapsuleLayer(NUM_CLASSES, 6 * 2 * 2, 4, 5)
        self.decoder = nn.Sequential(
            nn.Linear(5 * NUM_CLASSES, 16), nn.ReLU(inplace=True), nn.Linear(16, 64), nn.Sigmoid()
        )
        for p in [self.conv1.bias, *self.decoder.parameters()]:
            p.data = normal(*p.shape)

    def forward(self, x, y=None):
        x = F.relu(self.conv1(x), inplace=True)
        x = self.primary_capsules(x)
        x = self.digit_capsules(x).squeeze().transpose(0, 1)
        classes = (x**2).sum(dim=-1) ** 0.5
        classes = F.softmax(classes, dim=-1)
        if y is None:
            _, max_length_indices = classes.max(dim=1)
            y = torch.eye(NUM_CLASSES).index_select(dim=0, index=max_length_indices.data)
        reconstructions = self.decoder((x * y[:, :, None]).reshape(x.size(0), -1))
        return classes, reconstructions


class CapsuleLoss(nn.Module):
    def __init__(self):
        super(CapsuleLoss, self).__init__()
        self.reconstruction_loss = nn.MSELoss(reduction="sum")

    def forward(self, images, labels, classes, reconstructions):
        left = F.relu(0.9 - classes, inplace=True) ** 2
        right = F.relu(classes - 0.1, inplace=True) ** 2
        margin_loss = (labels * left + 0.5 * (1.0 - labels) * right).sum()
        assert torch.numel(images) == torch.numel(reconstructions)
        reconstruction_loss = self.reconstruction_loss(reconstructions, images.view(reconstructions.size()[0], -1))
        return (margin_loss + 0.0005 * reconstruction_loss) / images.size(0)


kinds = numbers.random((NUM_CLASSES, 1, 8, 8)) > 0.5
labels = torch.arange(30) % NUM_CLASSES
images = torch.from_numpy(np.clip(kinds[labels.numpy()] + numbers.normal(0, 0.2, (30, 1, 8, 8)), 0, 1)).float()
model = CapsuleNet()
print("# parameters:", sum(param.numel() for param in model.parameters()))
optimizer = Adam(model.parameters(), lr=0.01)
capsule_loss = CapsuleLoss()
for epoch in range(4):
    for x, y in DataLoader(TensorDataset(images, labels), batch_size=10):
        target = torch.eye(NUM_CLASSES).index_select(dim=0, index=y)
        classes, reconstructions = model(x, target)
        loss = capsule_loss(x, target, classes, reconstructions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("epoch", epoch, "loss", loss.item(), "first", classes[0].data)
with torch.no_grad():
    classes, reconstructions = model(images)
print(
    "right",
    (classes.argmax(-1) == labels).sum().item(),
    "of",
    len(labels),
    "error",
    F.mse_loss(reconstructions, images.flatten(1)).item(),
)
