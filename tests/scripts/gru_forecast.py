"""A GRU forecasts a series from its last days; trained by L-BFGS with a line search, judged on what it did not see."""

import numpy as np
import torch
from torch import nn, optim

numbers = np.random.RandomState(9)
t = np.arange(120)
series = np.sin(t / 5) + 0.3 * np.cos(t / 2) + numbers.normal(0, 0.02, 120)
window, split = 8, 80


class Forecaster(nn.Module):
    def __init__(self, hidden_size=8, num_layers=2):
        super().__init__()
        self.hidden_size, self.num_layers = hidden_size, num_layers
        self.gru = nn.GRU(1, hidden_size, num_layers, batch_first=True)
        self.fc = nn.Linear(hidden_size, 1)

    def forward(self, x):
        h0 = torch.zeros(self.num_layers, x.size(0), self.hidden_size, dtype=x.dtype).to(x.device)
        out, _ = self.gru(x, h0)
        return self.fc(out[:, -1, :]).squeeze(-1)


def windows(values):
    xs = np.stack([values[i : i + window] for i in range(len(values) - window)])
    return torch.from_numpy(xs).unsqueeze(-1), torch.from_numpy(values[window:].copy())


mean, std = series[:split].mean(), series[:split].std()
x_train, y_train = windows((series[:split] - mean) / std)
x_test, y_test = windows((series[split - window :] - mean) / std)
model = Forecaster().double()
for name, p in model.named_parameters():
    nn.init.constant_(p, 0.0)
    if "weight" in name:
        p.data += torch.from_numpy(numbers.uniform(-0.4, 0.4, tuple(p.shape)))
criterion = nn.MSELoss()
optimizer = optim.LBFGS(model.parameters(), lr=1, max_iter=5, history_size=10, line_search_fn="strong_wolfe")
scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
for epoch in range(3):
    calls = 0

    def closure():
        global calls
        calls += 1
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    scheduler.step()
    with torch.no_grad():
        test_loss = criterion(model(x_test), y_test)
    print(
        "epoch", epoch, "loss", loss.item(), "calls", calls, "test", test_loss.item(), "lr", scheduler.get_last_lr()[0]
    )
with torch.no_grad():
    history = x_test[:1].clone()
    future = []
    for _ in range(5):
        prediction = model(history)
        future.append(prediction.item())
        history = torch.cat([history[:, 1:], prediction.view(1, 1, 1)], dim=1)
print("forecast", np.array(future) * std + mean)
packed = nn.utils.rnn.pack_padded_sequence(x_train[:3], [8, 5, 2], batch_first=True)
output, hidden = model.gru(packed)
padded, lengths = nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
print("packed", padded.shape, lengths, padded.detach()[:, 0, :3], hidden[-1].norm().item())
