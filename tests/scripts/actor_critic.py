"""Actor and critic learn to balance a pole on a cart; the cart and its physics are written here."""

import math
from collections import namedtuple

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

random = np.random.default_rng(543)
SavedAction = namedtuple("SavedAction", ["log_prob", "value"])
eps = np.finfo(np.float32).eps.item()
gamma = 0.99


class CartPole:
    """A pole on a cart that is pushed left or right (Barto, Sutton and Anderson, 1983), in steps of 20 ms."""

    def reset(self):
        self.state = random.uniform(-0.05, 0.05, 4)
        return self.state.astype(np.float32)

    def step(self, action):
        x, speed, angle, turning = self.state
        force = 10.0 if action == 1 else -10.0
        push = (force + 0.05 * turning**2 * math.sin(angle)) / 1.1
        bend = (9.8 * math.sin(angle) - math.cos(angle) * push) / (0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
        rate = push - 0.05 * bend * math.cos(angle) / 1.1
        self.state = np.array([x + 0.02 * speed, speed + 0.02 * rate, angle + 0.02 * turning, turning + 0.02 * bend])
        done = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 12 * math.pi / 180
        return self.state.astype(np.float32), 1.0, bool(done)


class Policy(nn.Module):
    """Both actor and critic in one model."""

    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.action_head = nn.Linear(32, 2)
        self.value_head = nn.Linear(32, 1)
        self.saved_actions = []
        self.rewards = []

    def forward(self, x):
        x = F.relu(self.affine1(x))
        action_prob = F.softmax(self.action_head(x), dim=-1)
        state_values = self.value_head(x)
        return action_prob, state_values


model = Policy()
start = {}
for name, tensor in model.state_dict().items():
    start[name] = torch.as_tensor(random.uniform(-0.3, 0.3, tuple(tensor.shape)), dtype=torch.float32)
print(model.load_state_dict(start))
optimizer = optim.Adam(model.parameters(), lr=3e-2)
env = CartPole()


def select_action(state):
    state = torch.from_numpy(state).float()
    probs, state_value = model(state)
    # Drawn by NumPy, so that every run sees the same actions.
    action = int(random.random() > probs[0].item())
    model.saved_actions.append(SavedAction(torch.log(probs[action]), state_value))
    return action


def finish_episode():
    R = 0
    policy_losses, value_losses, returns = [], [], []
    for r in model.rewards[::-1]:
        R = r + gamma * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for (log_prob, value), R in zip(model.saved_actions, returns):
        advantage = R - value.item()
        policy_losses.append(-log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]
    return loss.item()


running_reward = 10
for i_episode in range(1, 9):
    state, ep_reward = env.reset(), 0
    for t in range(1, 60):
        action = select_action(state)
        state, reward, done = env.step(action)
        model.rewards.append(reward)
        ep_reward += reward
        if done:
            break
    running_reward = 0.05 * ep_reward + (1 - 0.05) * running_reward
    loss = finish_episode()
    print(f"Episode {i_episode}\tLast reward: {ep_reward:.2f}\tAverage reward: {running_reward:.2f}\tloss: {loss:.5f}")
