"""A trained classifier is fooled by small steps along the sign of the loss's gradient in the picture."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

random = np.random.default_rng(5)
epsilons = [0, 0.05, 0.1, 0.2]
use_cuda = True
device = torch.device("cuda" if use_cuda and torch.cuda.is_available() else "cpu")


def pictures(count):
    """Horizontal, vertical and diagonal stripes, with noise, in [0, 1]."""
    labels = random.integers(0, 3, count)
    y, x = np.mgrid[:12, :12]
    waves = np.stack([np.sin(y), np.sin(x), np.sin((x + y) / np.sqrt(2))])[labels]
    images = 0.5 + 0.2 * waves + random.normal(0, 0.1, waves.shape)
    return torch.tensor(np.clip(images, 0, 1)[:, None], dtype=torch.float32), torch.tensor(labels)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, 1)
        self.conv2 = nn.Conv2d(6, 8, 3, 1)
        self.dropout1 = nn.Dropout(0.25)
        self.fc1 = nn.Linear(128, 16)
        self.fc2 = nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.max_pool2d(x, 2)
        x = self.dropout1(x)
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


model = Net().to(device)
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.from_numpy(random.normal(0, 0.15, tuple(p.shape))))
model.eval()  # dropout draws its own numbers in each framework, so it rests
optimizer = optim.Adadelta(model.parameters(), lr=1.0)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.7)
for step in range(16):
    data, target = pictures(32)
    optimizer.zero_grad()
    loss = F.nll_loss(model(data), target)
    loss.backward()
    optimizer.step()
    scheduler.step()
    if step % 5 == 0:
        print(f"step {step} loss {loss.item():.5f} lr {scheduler.get_last_lr()[0]:.4f}")


def fgsm_attack(image, epsilon, data_grad):
    sign_data_grad = data_grad.sign()
    perturbed_image = image + epsilon * sign_data_grad
    return torch.clamp(perturbed_image, 0, 1)


images, labels = pictures(24)
for eps in epsilons:
    correct, adv_examples, losses = 0, [], []
    for data, target in zip(images.split(1), labels.split(1)):
        data, target = data.clone().to(device), target.to(device)
        data.requires_grad = True
        output = model(data)
        init_pred = output.max(1, keepdim=True)[1]
        if init_pred.item() != target.item():
            continue
        loss = F.nll_loss(output, target)
        model.zero_grad()
        loss.backward()
        data_grad = data.grad.data
        perturbed_data = fgsm_attack(data, eps, data_grad)
        output = model(perturbed_data)
        losses.append(F.nll_loss(output, target).item())
        final_pred = output.max(1, keepdim=True)[1]
        if final_pred.item() == target.item():
            correct += 1
        elif len(adv_examples) < 5:
            adv_examples.append((init_pred.item(), final_pred.item(), perturbed_data.squeeze().detach().cpu().numpy()))
    print(f"Epsilon: {eps}\tTest Accuracy = {correct} / {len(images)}\tloss {np.mean(losses):.5f}\t{len(adv_examples)}")
