"""A Wasserstein GAN with a penalty on its critic's gradient, on points in the plane; alternating as its authors do."""

import argparse

import numpy as np
import torch
import torch.autograd as autograd
import torch.nn as nn
from torch.autograd import Variable

parser = argparse.ArgumentParser()
parser.add_argument("--n_epochs", type=int, default=2, help="number of epochs of training")
parser.add_argument("--batch_size", type=int, default=16, help="size of the batches")
parser.add_argument("--lr", type=float, default=0.01, help="adam: learning rate")
parser.add_argument("--b1", type=float, default=0.5)
parser.add_argument("--b2", type=float, default=0.999)
parser.add_argument("--latent_dim", type=int, default=4)
parser.add_argument("--n_critic", type=int, default=3)
opt = parser.parse_args()
print(opt)
numbers = np.random.RandomState(5)
cuda = True if torch.cuda.is_available() else False
Tensor = torch.cuda.FloatTensor if cuda else torch.FloatTensor


class Generator(nn.Module):
    def __init__(self):
        super(Generator, self).__init__()

        def block(in_feat, out_feat, normalize=True):
            layers = [nn.Linear(in_feat, out_feat)]
            if normalize:
                layers.append(nn.BatchNorm1d(out_feat, 0.8))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            return layers

        self.model = nn.Sequential(*block(opt.latent_dim, 16, normalize=False), *block(16, 16), nn.Linear(16, 2))

    def forward(self, z):
        points = self.model(z)
        return points.view(points.shape[0], *(2,))


class Discriminator(nn.Module):
    def __init__(self):
        super(Discriminator, self).__init__()
        self.model = nn.Sequential(
            nn.Linear(2, 16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(16, 16),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(16, 1),
        )

    def forward(self, points):
        return self.model(points.view(points.shape[0], -1))


def compute_gradient_penalty(D, real_samples, fake_samples):
    alpha = Tensor(numbers.random_sample((real_samples.size(0), 1)))
    interpolates = (alpha * real_samples + ((1 - alpha) * fake_samples)).requires_grad_(True)
    d_interpolates = D(interpolates)
    fake = Variable(Tensor(real_samples.shape[0], 1).fill_(1.0), requires_grad=False)
    gradients = autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=fake,
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.view(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


generator, discriminator = Generator(), Discriminator()
for model in (generator, discriminator):
    for p in model.parameters():
        p.data.copy_(torch.from_numpy(numbers.normal(0, 0.3, tuple(p.shape))))
angles = numbers.uniform(0, 2 * np.pi, 96)
data = np.stack([np.cos(angles), np.sin(angles)], 1) + numbers.normal(0, 0.05, (96, 2))
dataloader = torch.utils.data.DataLoader(torch.from_numpy(data).float(), batch_size=opt.batch_size)
optimizer_G = torch.optim.Adam(generator.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))
optimizer_D = torch.optim.Adam(discriminator.parameters(), lr=opt.lr, betas=(opt.b1, opt.b2))
for epoch in range(opt.n_epochs):
    for i, points in enumerate(dataloader):
        real = Variable(points.type(Tensor))
        optimizer_D.zero_grad()
        z = Variable(Tensor(numbers.normal(0, 1, (points.shape[0], opt.latent_dim))))
        fake = generator(z)
        penalty = compute_gradient_penalty(discriminator, real.data, fake.data)
        d_loss = -torch.mean(discriminator(real)) + torch.mean(discriminator(fake)) + 10 * penalty
        d_loss.backward()
        optimizer_D.step()
        optimizer_G.zero_grad()
        if i % opt.n_critic == 0:
            g_loss = -torch.mean(discriminator(generator(z)))
            g_loss.backward()
            optimizer_G.step()
            print(
                "[Epoch %d/%d] [Batch %d/%d] [D loss: %f] [G loss: %f]"
                % (epoch, opt.n_epochs, i, len(dataloader), d_loss.item(), g_loss.item())
            )
