"""REINFORCE with a baseline on an environment of its own: a cart that is to be kept near the middle of a track."""

from collections import deque, namedtuple
from itertools import count

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

numbers = np.random.RandomState(543)
gamma, eps = 0.95, np.finfo(np.float32).eps.item()
Step = namedtuple("Step", ["log_prob", "value", "reward"])


class Track:
    """A cart pushed left or right; every step within the track is rewarded."""

    def reset(self):
        self.state = numbers.uniform(-0.05, 0.05, 2)
        self.t = 0
        return self.state.astype(np.float32)

    def step(self, action):
        position, speed = self.state
        speed += 0.1 * (2 * action - 1) + 0.05 * position
        self.state = np.array([position + speed, speed])
        self.t += 1
        done = abs(self.state[0]) > 1 or self.t >= 30
        return self.state.astype(np.float32), 1.0 - abs(self.state[0]), done, {}


class Policy(nn.Module):
    def __init__(self):
        super(Policy, self).__init__()
        self.affine1 = nn.Linear(2, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)
        self.saved = []

    def forward(self, x):
        x = F.relu(self.affine1(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


env, policy = Track(), Policy()
for p in policy.parameters():
    p.data.copy_(torch.from_numpy(numbers.normal(0, 0.4, tuple(p.shape))))
optimizer = optim.Adam(policy.parameters(), lr=2e-2)


def select_action(state):
    probs, value = policy(torch.from_numpy(state).float().unsqueeze(0))
    action = int(numbers.uniform() > probs[0, 0].item())
    return action, torch.log(probs[0, action]), value[0, 0]


def finish_episode():
    R, returns = 0, deque()
    for step in policy.saved[::-1]:
        R = step.reward + gamma * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_losses, value_losses = [], []
    for step, R in zip(policy.saved, returns):
        advantage = R - step.value.item()
        policy_losses.append(-step.log_prob * advantage)
        value_losses.append(F.smooth_l1_loss(step.value, R))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del policy.saved[:]
    return loss.item()


running_reward = 5.0
for i_episode in range(6):
    state, ep_reward = env.reset(), 0
    for t in count(1):
        action, log_prob, value = select_action(state)
        state, reward, done, _ = env.step(action)
        policy.saved.append(Step(log_prob, value, reward))
        ep_reward += reward
        if done:
            break
    running_reward = 0.05 * ep_reward + (1 - 0.05) * running_reward
    loss = finish_episode()
    print(
        "Episode {}\tsteps {}\tLast reward: {:.3f}\tAverage: {:.3f}\tLoss: {:.4f}".format(
            i_episode, t, ep_reward, running_reward, loss
        )
    )
with torch.no_grad():
    print(policy(torch.tensor([[0.5, 0.1], [-0.5, -0.1]])))
