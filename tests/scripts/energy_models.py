"""Memories and energies: Hopfield networks old and new, and a Boltzmann machine taught by contrast."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, IterableDataset

numbers = np.random.default_rng(55)


def drawn(p):
    """0 or 1, by numbers that do not depend on the framework."""
    return (torch.from_numpy(numbers.random(tuple(p.shape))).float() < p).float()


class Hopfield(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.register_buffer("weights", torch.zeros(size, size))

    @torch.no_grad()
    def store(self, patterns):
        self.weights = patterns.t() @ patterns / patterns.size(0)
        self.weights.fill_diagonal_(0)

    def energy(self, s):
        return -0.5 * torch.einsum("bi,ij,bj->b", s, self.weights, s)

    @torch.inference_mode()
    def forward(self, s, sweeps=2):
        s = s.clone()
        for _ in range(sweeps):
            for i in numbers.permutation(s.size(1)):
                field = s @ self.weights[:, i]
                s[:, i] = torch.where(field == 0, s[:, i], torch.sign(field))
        return s


patterns = torch.from_numpy(numbers.choice([-1.0, 1.0], (3, 40))).float()
noisy = patterns * torch.from_numpy(numbers.choice([-1.0, 1.0], (3, 40), p=[0.15, 0.85])).float()
net = Hopfield(40)
net.store(patterns)
out = net(noisy)
print("overlap", (noisy * patterns).mean(1), (out * patterns).mean(1), "energy", net.energy(noisy), net.energy(out))


class ModernHopfield(nn.Module):
    """One step is attention to what is stored."""

    def __init__(self, stored, beta):
        super().__init__()
        self.stored, self.beta = nn.Parameter(stored.clone()), beta

    def forward(self, query):
        return F.scaled_dot_product_attention(query[None], self.stored[None], self.stored[None], scale=self.beta)[0]

    def energy(self, query):
        return -torch.logsumexp(self.beta * query @ self.stored.T, -1) / self.beta + 0.5 * query.square().sum(-1)


modern = ModernHopfield(patterns, beta=0.5)
again = modern(noisy)
print(
    "modern",
    (again.detach() * patterns).mean(1),
    "energy",
    modern.energy(noisy).mean().item(),
    modern.energy(again).mean().item(),
)
modern.energy(noisy).sum().backward()
print("slope", modern.stored.grad.norm().item())


class Bars(IterableDataset):
    def __init__(self, n, side=4):
        self.n, self.side = n, side

    def __iter__(self):
        for i in range(self.n):
            picture = torch.zeros(self.side, self.side)
            picture[i % self.side] = 1.0
            yield (picture if i % 2 else picture.t()).flatten()


class RBM(nn.Module):
    def __init__(self, n_vis=16, n_hid=8, k=2):
        super(RBM, self).__init__()
        self.W = nn.Parameter(torch.from_numpy(numbers.normal(0, 0.1, (n_hid, n_vis))).float())
        self.v_bias = nn.Parameter(torch.zeros(n_vis))
        self.h_bias = nn.Parameter(torch.zeros(n_hid))
        self.k = k

    def v_to_h(self, v):
        p_h = F.sigmoid(F.linear(v, self.W, self.h_bias))
        return p_h, drawn(p_h)

    def h_to_v(self, h):
        p_v = F.sigmoid(F.linear(h, self.W.t(), self.v_bias))
        return p_v, drawn(p_v)

    def forward(self, v):
        _, h = self.v_to_h(v)
        for _ in range(self.k):
            p_v, v_ = self.h_to_v(h)
            p_h_, h = self.v_to_h(v_)
        return v, v_

    def free_energy(self, v):
        vbias_term = v.mv(self.v_bias)
        wx_b = F.linear(v, self.W, self.h_bias)
        hidden_term = wx_b.exp().add(1).log().sum(1)
        return (-hidden_term - vbias_term).mean()


rbm = RBM()
train_op = torch.optim.SGD(rbm.parameters(), 0.2)
loader = DataLoader(Bars(40), batch_size=10)
for epoch in range(4):
    loss_ = []
    for data in loader:
        v, v1 = rbm(data)
        loss = rbm.free_energy(v) - rbm.free_energy(v1)
        loss_.append(loss.data.item())
        train_op.zero_grad()
        loss.backward()
        train_op.step()
    print("epoch", epoch, "loss", np.mean(loss_), "weights", rbm.W.abs().mean().item())
with torch.no_grad():
    p, _ = rbm.h_to_v(rbm.v_to_h(data)[0])
print("rebuilt", F.binary_cross_entropy(p, data).item(), p[0, :4])
