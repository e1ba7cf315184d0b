"""Pictures made by workers, in a script that has no guard, as most scripts have none: its functions are local or lambdas."""

import numpy as np
import torch
import torch.nn as nn
from torch.utils.data import Dataset
from torch.utils.data.dataloader import DataLoader, default_collate
from torch.utils.data.sampler import SubsetRandomSampler, WeightedRandomSampler

numbers = np.random.default_rng(7)
templates = numbers.normal(0, 1, (4, 6, 6)).astype("float32")
normalise = lambda x: (x - x.mean()) / (x.std() + 1e-5)  # noqa: E731


class Noisy(Dataset):
    def __init__(self, count, transform=None):
        self.count, self.transform = count, transform

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        own = np.random.RandomState(i)
        image = torch.from_numpy(templates[i % 4] + own.normal(0, 0.5, (6, 6)).astype("float32"))[None]
        if self.transform is not None:
            image = self.transform(image)
        return {"image": image, "label": i % 4, "name": f"picture{i}"}


def collate(batch):
    whole = default_collate(batch)
    return whole["image"], whole["label"], whole["name"]


train_loader = DataLoader(Noisy(64, normalise), batch_size=16, num_workers=2, collate_fn=collate, pin_memory=False)
test_loader = DataLoader(Noisy(24, lambda x: normalise(x)), batch_size=8, shuffle=False, num_workers=1)
model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
for p in model.parameters():
    p.data.copy_(torch.from_numpy(numbers.normal(0, 0.2, tuple(p.shape))))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
criterion = nn.CrossEntropyLoss()
for epoch in range(3):
    running_loss = 0.0
    for i, (images, labels, names) in enumerate(train_loader, 0):
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if i % 2 == 1:
            print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 2:.4f} {names[0]} to {names[-1]}")
            running_loss = 0.0
correct = 0
with torch.no_grad():
    for data in test_loader:
        _, predicted = torch.max(model(data["image"]).data, 1)
        correct += (predicted == data["label"]).sum().item()
print("Accuracy of the network on the 24 test images: %d %%" % (100 * correct / 24))
seen = [b["label"].tolist() for b in DataLoader(Noisy(8), 4, sampler=SubsetRandomSampler([5]), num_workers=2)]
print("one place", seen)
weighted = WeightedRandomSampler([0.0, 1.0, 0.0, 0.0], 3, replacement=True)
print("drawn", [b["label"].tolist() for b in DataLoader(Noisy(4), 3, sampler=weighted, num_workers=2)])
