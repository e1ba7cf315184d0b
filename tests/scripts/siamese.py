"""A siamese network learns from pairs whether two pictures show the same, and from triplets how near they are."""

import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset

numbers = np.random.default_rng(8)
random.seed(8)
shapes = numbers.normal(0, 1, (4, 1, 8, 8))


class Pairs(Dataset):
    def __init__(self, count):
        self.groups = {c: [i for i in range(40) if i % 4 == c] for c in range(4)}
        self.data = torch.from_numpy(shapes[np.arange(40) % 4] + numbers.normal(0, 0.6, (40, 1, 8, 8))).float()
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        selected_class = random.randint(0, 3)
        first = random.choice(self.groups[selected_class])
        if index % 2 == 0:
            second, target = random.choice(self.groups[selected_class]), torch.tensor(1, dtype=torch.float)
        else:
            other = random.choice([c for c in range(4) if c != selected_class])
            second, target = random.choice(self.groups[other]), torch.tensor(0, dtype=torch.float)
        return self.data[first].clone(), self.data[second].clone(), target


class SiameseNetwork(nn.Module):
    def __init__(self):
        super(SiameseNetwork, self).__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten())
        self.fc = nn.Sequential(nn.Linear(36, 16), nn.ReLU(inplace=True), nn.Linear(16, 1))
        self.sigmoid = nn.Sigmoid()
        self.features.apply(self.init_weights)
        self.fc.apply(self.init_weights)

    def init_weights(self, m):
        if isinstance(m, (nn.Linear, nn.Conv2d)):
            m.weight.data.copy_(torch.from_numpy(numbers.uniform(-0.2, 0.2, tuple(m.weight.shape))))
            m.bias.data.fill_(0.01)

    def forward_once(self, x):
        output = self.features(x)
        return output.view(output.size()[0], -1)

    def forward(self, input1, input2):
        output1, output2 = self.forward_once(input1), self.forward_once(input2)
        return self.sigmoid(self.fc(torch.abs(output1 - output2))), output1, output2


pairs = [Pairs(24)[i % 24] for i in range(24)]  # drawn once, so that both orders of drawing are the same
train_loader = DataLoader(pairs, batch_size=8)
model = SiameseNetwork()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
criterion, cosine = nn.BCELoss(), nn.CosineEmbeddingLoss(margin=0.2)
for epoch in range(1, 4):
    model.train()
    for batch_idx, (images_1, images_2, targets) in enumerate(train_loader):
        optimizer.zero_grad()
        outputs, one, two = model(images_1, images_2)
        loss = criterion(outputs.squeeze(), targets) + 0.1 * cosine(one, two, 2 * targets - 1)
        loss.backward()
        optimizer.step()
        print("Train Epoch: {} [{}/{}]\tLoss: {:.6f}".format(epoch, batch_idx * len(images_1), len(pairs), loss.item()))
    scheduler.step()
model.eval()
with torch.no_grad():
    outputs, one, two = model(*(torch.stack([pair[k] for pair in pairs]) for k in (0, 1)))
    pred = torch.where(outputs > 0.5, 1, 0)
    target = torch.stack([pair[2] for pair in pairs])
    correct = pred.eq(target.view_as(pred)).sum().item()
print(
    "Accuracy: {}/{}".format(correct, len(pairs)), "distance", F.pairwise_distance(one, two, keepdim=True).mean().item()
)
anchor, negative = one.detach()[::2].requires_grad_(), one.detach()[1::2]
triplet = nn.TripletMarginLoss(margin=1.0, p=2)(anchor, two.detach()[::2], negative)
triplet.backward()
print("triplet", triplet.item(), anchor.grad.norm().item(), "cosine", F.cosine_similarity(one, two)[:4])
