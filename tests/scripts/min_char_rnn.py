"""A recurrent network without a single module: tensors with gradients, Adagrad written out, letters drawn as they come."""

import numpy as np
import torch

data = "hello world, this is a text for a very small network that learns letters. " * 4
chars = sorted(set(data))
data_size, vocab_size = len(data), len(chars)
print("data has %d characters, %d unique." % (data_size, vocab_size))
char_to_ix = {ch: i for i, ch in enumerate(chars)}
ix_to_char = dict(enumerate(chars))
hidden_size, seq_length, learning_rate = 20, 12, 1e-1
rng = np.random.RandomState(0)
Wxh = torch.tensor(rng.randn(hidden_size, vocab_size) * 0.1, dtype=torch.float64, requires_grad=True)
Whh = torch.tensor(rng.randn(hidden_size, hidden_size) * 0.1, dtype=torch.float64, requires_grad=True)
Why = torch.tensor(rng.randn(vocab_size, hidden_size) * 0.1, dtype=torch.float64, requires_grad=True)
bh = torch.zeros((hidden_size, 1), dtype=torch.float64, requires_grad=True)
by = torch.zeros((vocab_size, 1), dtype=torch.float64, requires_grad=True)
params = [Wxh, Whh, Why, bh, by]
mems = [torch.zeros_like(p) for p in params]


def loss_fun(inputs, targets, hprev):
    h, loss = hprev, 0
    for t in range(len(inputs)):
        x = torch.zeros((vocab_size, 1), dtype=torch.float64)
        x[inputs[t]] = 1
        h = torch.tanh(Wxh @ x + Whh @ h + bh)
        y = Why @ h + by
        loss = loss - torch.log(torch.exp(y) / torch.sum(torch.exp(y)))[targets[t], 0]
    return loss, h.detach()


@torch.no_grad()
def sample(h, seed_ix, n):
    x = torch.zeros((vocab_size, 1), dtype=torch.float64)
    x[seed_ix] = 1
    ixes = []
    for _ in range(n):
        h = torch.tanh(torch.mm(Wxh, x) + torch.mm(Whh, h) + bh)
        p = torch.softmax(Why.mm(h) + by, dim=0)
        ix = rng.choice(range(vocab_size), p=p.numpy().ravel() / p.sum().item())
        x = torch.zeros((vocab_size, 1), dtype=torch.float64)
        x[ix] = 1
        ixes.append(ix)
    return ixes


p, smooth_loss = 0, -np.log(1.0 / vocab_size) * seq_length
for n in range(12):
    if p + seq_length + 1 >= len(data) or n == 0:
        hprev = torch.zeros((hidden_size, 1), dtype=torch.float64)
        p = 0
    inputs = [char_to_ix[ch] for ch in data[p : p + seq_length]]
    targets = [char_to_ix[ch] for ch in data[p + 1 : p + seq_length + 1]]
    loss, hprev = loss_fun(inputs, targets, hprev)
    for param in params:
        param.grad = None
    loss.backward()
    for param, mem in zip(params, mems):
        param.grad.data.clamp_(-5, 5)
        mem += param.grad * param.grad
        param.data += -learning_rate * param.grad / torch.sqrt(mem + 1e-8)
    smooth_loss = smooth_loss * 0.999 + loss.item() * 0.001
    print("iter %d, loss: %f, smooth %f" % (n, loss.item(), smooth_loss))
    p += seq_length
print("----\n %s \n----" % ("".join(ix_to_char[ix] for ix in sample(hprev, inputs[0], 30)),))
for name, param, mem in zip(["Wxh", "Whh", "Why", "bh", "by"], params, mems):
    print(name, param.grad.abs().sum().item(), mem.max().item())
