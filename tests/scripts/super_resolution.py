"""A network that makes small pictures larger: channels become pixels."""

from math import log10

import numpy as np
import torch
import torch.nn as nn
import torch.nn.init as init
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

numbers = np.random.default_rng(17)
upscale_factor = 2


class Net(nn.Module):
    def __init__(self, upscale_factor):
        super(Net, self).__init__()
        self.relu = nn.ReLU()
        self.conv1 = nn.Conv2d(1, 8, (5, 5), (1, 1), (2, 2))
        self.conv2 = nn.Conv2d(8, 8, (3, 3), (1, 1), (1, 1))
        self.conv3 = nn.Conv2d(8, upscale_factor**2, (3, 3), (1, 1), (1, 1))
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)
        self._initialize_weights()

    def forward(self, x):
        x = self.relu(self.conv1(x))
        x = self.relu(self.conv2(x))
        return self.pixel_shuffle(self.conv3(x))

    def _initialize_weights(self):
        print("gain", init.calculate_gain("relu"))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                rows = m.weight.shape[0]
                q, _ = np.linalg.qr(numbers.normal(0, 1, (m.weight[0].numel(), rows)))  # as init.orthogonal_ makes it
                m.weight.data.copy_(torch.from_numpy(q.T.reshape(m.weight.shape) * init.calculate_gain("relu")))
                init.zeros_(m.bias)


y, x = np.mgrid[:12, :12]
waves = numbers.uniform(0.2, 1.0, (20, 2, 1, 1))
large = torch.from_numpy(0.5 + 0.5 * np.sin(waves[:, 0] * x + waves[:, 1] * y)).float().unsqueeze(1)
small = nn.functional.interpolate(large, scale_factor=0.5, mode="bicubic", align_corners=False).clamp(0.0, 1.0)
training_data_loader = DataLoader(dataset=TensorDataset(small[:16], large[:16]), num_workers=0, batch_size=4)
testing_data_loader = DataLoader(dataset=TensorDataset(small[16:], large[16:]), batch_size=2)
model = Net(upscale_factor=upscale_factor).to(torch.device("cpu"))
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=0.01)


def train(epoch):
    epoch_loss = 0
    for iteration, batch in enumerate(training_data_loader, 1):
        input, target = batch[0].to("cpu"), batch[1].to("cpu")
        optimizer.zero_grad()
        loss = criterion(model(input), target)
        epoch_loss += loss.item()
        loss.backward()
        optimizer.step()
        print("===> Epoch[{}]({}/{}): Loss: {:.4f}".format(epoch, iteration, len(training_data_loader), loss.item()))
    print("===> Epoch {} Complete: Avg. Loss: {:.4f}".format(epoch, epoch_loss / len(training_data_loader)))


def test():
    avg_psnr = 0
    with torch.no_grad():
        for batch in testing_data_loader:
            mse = criterion(model(batch[0]), batch[1])
            avg_psnr += 10 * log10(1 / mse.item())
    print("===> Avg. PSNR: {:.4f} dB".format(avg_psnr / len(testing_data_loader)))


for epoch in range(1, 4):
    train(epoch)
    test()
    torch.save(model.state_dict(), "model_epoch_{}.pth".format(epoch))
model.load_state_dict(torch.load("model_epoch_1.pth"))
test()
out = model(small[:1])
bicubic = nn.functional.interpolate(small[:1], size=(12, 12), mode="bilinear", align_corners=True)
print(out.shape, nn.PixelUnshuffle(2)(out).shape, out.mean().item(), (bicubic - large[:1]).abs().mean().item())
