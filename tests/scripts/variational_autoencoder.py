"""A variational autoencoder on small pictures of bars: reconstruction and divergence, and samples from the prior."""

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
random = np.random.default_rng(0)


def pictures(count):
    """8×8 pictures of one bright row and one bright column, with a little noise."""
    x = random.uniform(0.0, 0.1, (count, 1, 8, 8))
    for picture, row, column in zip(x, random.integers(0, 8, count), random.integers(0, 8, count)):
        picture[0, row, :] = 0.9
        picture[0, :, column] = 0.9
    return torch.from_numpy(x.astype("float32"))


class VAE(nn.Module):
    def __init__(self, hidden=32, latent=4):
        super().__init__()
        self.fc1 = nn.Linear(64, hidden)
        self.fc21 = nn.Linear(hidden, latent)
        self.fc22 = nn.Linear(hidden, latent)
        self.fc3 = nn.Linear(latent, hidden)
        self.fc4 = nn.Linear(hidden, 64)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.fc21(h), self.fc22(h)

    def reparameterize(self, mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.from_numpy(random.standard_normal(tuple(std.size()))).to(std)
        return mu + eps * std

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 64))
        z = self.reparameterize(mu, logvar)
        return self.decode(z), mu, logvar


def loss_function(reconstruction, x, mu, logvar):
    bce = F.binary_cross_entropy(reconstruction, x.view(-1, 64), reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


model = VAE().to(device)
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.from_numpy(random.normal(0, 0.1, tuple(p.shape)).astype("float32")))
optimizer = optim.Adam(model.parameters(), lr=1e-2)
train_batches = [pictures(32) for _ in range(6)]
test_batch = pictures(32)

for epoch in range(1, 4):
    model.train()
    train_loss = 0
    for batch_idx, data in enumerate(train_batches):
        data = data.to(device, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        recon_batch, mu, logvar = model(data)
        loss = loss_function(recon_batch, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
        if batch_idx % 3 == 0:
            print(f"Train Epoch: {epoch} [{batch_idx * len(data)}/{192}]\tLoss: {loss.item() / len(data):.6f}")
    print(f"====> Epoch: {epoch} Average loss: {train_loss / 192:.4f}")
    model.eval()
    with torch.inference_mode():
        recon, mu, logvar = model(test_batch)
        print(f"====> Test set loss: {loss_function(recon, test_batch, mu, logvar).item() / 32:.4f}")
    with torch.no_grad():
        sample = torch.linspace(-1, 1, 8 * 4).view(8, 4).to(device)
        sample = model.decode(sample).cpu()
        grid = torch.cat(torch.unbind(sample.view(8, 8, 8)), dim=1)
        print("samples", tuple(grid.shape), f"{grid.mean():.5f} {grid.std():.5f}")
