"""A small convolutional network learns to tell shapes apart: data set, loader, training, saving, testing by class."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split

device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
print(f"Using {device} device")
classes = ("square", "disc", "cross", "frame")
batch_size = 8


class ShapesDataset(Dataset):
    """3×16×16 pictures of a shape in some colour, and the number of its class."""

    def __init__(self, count, seed, transform=None):
        self.random = np.random.default_rng(seed)
        self.labels = self.random.integers(0, len(classes), count)
        self.images = [self.draw(label) for label in self.labels]
        self.transform = transform

    def draw(self, label):
        y, x = np.mgrid[:16, :16]
        y, x = np.abs(y - self.random.integers(6, 10)), np.abs(x - self.random.integers(6, 10))
        square = (np.maximum(x, y) < 5).astype(float)
        mask = [square, x * x + y * y < 25, (np.minimum(x, y) < 2) * square, square - (np.maximum(x, y) < 4)][label]
        colour = self.random.uniform(0.4, 1.0, (3, 1, 1))
        return (255 * colour * mask + self.random.uniform(0, 20, (3, 16, 16))).clip(0, 255).astype("uint8")

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, idx):
        image = torch.tensor(self.images[idx]).float() / 255
        if self.transform:
            image = self.transform(image)
        return image, int(self.labels[idx])


def normalize(image):
    mean, std = torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.5, 0.5, 0.5])
    return (image - mean[:, None, None]) / std[:, None, None]


trainset, testset = ShapesDataset(96, 0, normalize), ShapesDataset(32, 1, transform=normalize)
trainloader = DataLoader(trainset, batch_size=batch_size, shuffle=False, num_workers=0)
testloader = torch.utils.data.DataLoader(testset, batch_size=16, shuffle=False)
images, labels = next(iter(trainloader))
print(f"Shape of X [N, C, H, W]: {images.shape}")
print(f"Shape of y: {labels.shape} {str(labels.dtype).split('.')[-1]}")
print(" ".join(f"{classes[labels[j]]:5s}" for j in range(batch_size)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 12, 3)
        self.fc1 = nn.Linear(12 * 2 * 2, 24)
        self.fc2 = nn.Linear(24, len(classes))

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)  # flatten all dimensions except batch
        return self.fc2(F.relu(self.fc1(x)))


net = Net().to(device)
print(net)
random = np.random.default_rng(2)
for name, parameter in net.named_parameters():
    spread = 0.0 if "bias" in name else 1 / np.sqrt(parameter[0].numel())
    parameter.data = torch.from_numpy(random.normal(0, 1, parameter.shape) * spread).float()

criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
for epoch in range(4):
    running_loss = 0.0
    for i, data in enumerate(trainloader, 0):
        inputs, labels = data[0].to(device), data[1].to(device)
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if i % 4 == 3:
            print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / 4:.4f}")
            running_loss = 0.0

PATH = "./shapes_net.pth"
torch.save(net.state_dict(), PATH)
net = Net()
print(net.load_state_dict(torch.load(PATH, weights_only=True)))

correct_pred = {classname: 0 for classname in classes}
total_pred = {classname: 0 for classname in classes}
test_loss = 0
net.eval()
with torch.no_grad():
    for images, labels in testloader:
        outputs = net(images)
        test_loss += criterion(outputs, labels).item()
        _, predictions = torch.max(outputs, 1)
        for label, prediction in zip(labels, predictions):
            if label == prediction:
                correct_pred[classes[label]] += 1
            total_pred[classes[label]] += 1
for classname, correct_count in correct_pred.items():
    print(f"Accuracy for class: {classname:5s} is {100 * float(correct_count) / total_pred[classname]:.1f} %")
print(f"Avg loss: {test_loss / len(testloader):>8f}")

features = TensorDataset(torch.arange(10).float().view(10, 1), torch.arange(10))
first, second = random_split(features, [7, 3], generator=torch.Generator().manual_seed(42))
together = torch.cat([y for part in (first, second) for _, y in DataLoader(part, batch_size=4, shuffle=True)])
print(len(first), len(second), together.sort().values.tolist())
