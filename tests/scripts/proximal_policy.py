"""Proximal policy optimisation in one file, in the style of single-file implementations; two pendulums swing here."""

import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim

parser = argparse.ArgumentParser()
parser.add_argument("--num-envs", type=int, default=4)
parser.add_argument("--num-steps", type=int, default=32)
parser.add_argument("--update-epochs", type=int, default=3)
parser.add_argument("--num-minibatches", type=int, default=4)
parser.add_argument("--gamma", type=float, default=0.9)
parser.add_argument("--gae-lambda", type=float, default=0.95)
parser.add_argument("--clip-coef", type=float, default=0.2)
parser.add_argument("--ent-coef", type=float, default=0.01)
parser.add_argument("--vf-coef", type=float, default=0.5)
parser.add_argument("--learning-rate", type=float, default=1e-3)
args = parser.parse_args()
rng = np.random.default_rng(1)
device = torch.device("cpu")


class Pendulums:
    """Several pendulums at once, their torque one of −2, 0 and 2."""

    def __init__(self, n):
        self.n = n

    def observe(self):
        return np.stack([np.cos(self.th), np.sin(self.th), self.om / 8], 1).astype(np.float32)

    def reset(self):
        self.th, self.om, self.t = rng.uniform(-np.pi, np.pi, self.n), rng.uniform(-1, 1, self.n), 0
        return self.observe(), {}

    def step(self, action):
        torque = 2.0 * (action - 1)
        top = (self.th + np.pi) % (2 * np.pi) - np.pi
        reward = -(top**2 + 0.1 * self.om**2 + 0.001 * torque**2)
        self.om = np.clip(self.om + (15 * np.sin(self.th) + 3 * torque) * 0.05, -8, 8)
        self.th = self.th + self.om * 0.05
        self.t += 1
        done = np.full(self.n, self.t % 50 == 0)
        if done.all():
            self.reset()
        return self.observe(), reward, done


def layer_init(layer, scale):
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rng.normal(0, scale, tuple(layer.weight.shape)), dtype=torch.float32))
    torch.nn.init.constant_(layer.bias, 0.0)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.critic = nn.Sequential(layer_init(nn.Linear(3, 32), 0.5), nn.Tanh(), layer_init(nn.Linear(32, 1), 0.2))
        self.actor = nn.Sequential(layer_init(nn.Linear(3, 32), 0.5), nn.Tanh(), layer_init(nn.Linear(32, 3), 0.01))

    def get_value(self, x):
        return self.critic(x)

    def get_action_and_value(self, x, action=None):
        logs = torch.log_softmax(self.actor(x), dim=-1)
        if action is None:
            noise = torch.tensor(rng.gumbel(size=tuple(logs.shape)), dtype=torch.float32)
            action = torch.argmax(logs + noise, dim=-1)
        entropy = -(logs.exp() * logs).sum(-1)
        return action, logs.gather(-1, action.unsqueeze(-1)).squeeze(-1), entropy, self.critic(x)


envs = Pendulums(args.num_envs)
agent = Agent().to(device)
optimizer = optim.Adam(agent.parameters(), lr=args.learning_rate, eps=1e-5)
shape = (args.num_steps, args.num_envs)
obs = torch.zeros(shape + (3,)).to(device)
actions = torch.zeros(shape, dtype=torch.long).to(device)
logprobs, rewards, dones, values = (torch.zeros(shape).to(device) for _ in range(4))
batch_size = args.num_steps * args.num_envs
minibatch_size = batch_size // args.num_minibatches
next_obs = torch.Tensor(envs.reset()[0]).to(device)
next_done = torch.zeros(args.num_envs).to(device)

for update in range(1, 5):
    optimizer.param_groups[0]["lr"] = (1.0 - (update - 1.0) / 4) * args.learning_rate
    for step in range(args.num_steps):
        obs[step] = next_obs
        dones[step] = next_done
        with torch.no_grad():
            action, logprob, _, value = agent.get_action_and_value(next_obs)
            values[step] = value.flatten()
        actions[step] = action
        logprobs[step] = logprob
        next_obs, reward, done = envs.step(action.cpu().numpy())
        rewards[step] = torch.tensor(reward, dtype=torch.float32).to(device).view(-1)
        next_obs, next_done = torch.Tensor(next_obs).to(device), torch.Tensor(done.astype(np.float32)).to(device)

    with torch.no_grad():
        next_value = agent.get_value(next_obs).reshape(1, -1)
        advantages = torch.zeros_like(rewards).to(device)
        lastgaelam = 0
        for t in reversed(range(args.num_steps)):
            if t == args.num_steps - 1:
                nextnonterminal, nextvalues = 1.0 - next_done, next_value
            else:
                nextnonterminal, nextvalues = 1.0 - dones[t + 1], values[t + 1]
            delta = rewards[t] + args.gamma * nextvalues * nextnonterminal - values[t]
            advantages[t] = lastgaelam = delta + args.gamma * args.gae_lambda * nextnonterminal * lastgaelam
        returns = advantages + values

    b_obs, b_logprobs, b_actions = obs.reshape((-1, 3)), logprobs.reshape(-1), actions.reshape(-1)
    b_advantages, b_returns, b_values = advantages.reshape(-1), returns.reshape(-1), values.reshape(-1)
    b_inds, clipfracs = np.arange(batch_size), []
    for epoch in range(args.update_epochs):
        rng.shuffle(b_inds)
        for start in range(0, batch_size, minibatch_size):
            mb_inds = b_inds[start : start + minibatch_size]
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[mb_inds], b_actions.long()[mb_inds])
            logratio = newlogprob - b_logprobs[mb_inds]
            ratio = logratio.exp()
            with torch.no_grad():
                approx_kl = ((ratio - 1) - logratio).mean()
                clipfracs += [((ratio - 1.0).abs() > args.clip_coef).float().mean().item()]
            mb_advantages = b_advantages[mb_inds]
            mb_advantages = (mb_advantages - mb_advantages.mean()) / (mb_advantages.std() + 1e-8)
            pg_loss1 = -mb_advantages * ratio
            pg_loss2 = -mb_advantages * torch.clamp(ratio, 1 - args.clip_coef, 1 + args.clip_coef)
            pg_loss = torch.max(pg_loss1, pg_loss2).mean()
            newvalue = newvalue.view(-1)
            v_loss_unclipped = (newvalue - b_returns[mb_inds]) ** 2
            v_clipped = b_values[mb_inds] + torch.clamp(newvalue - b_values[mb_inds], -args.clip_coef, args.clip_coef)
            v_loss = 0.5 * torch.max(v_loss_unclipped, (v_clipped - b_returns[mb_inds]) ** 2).mean()
            entropy_loss = entropy.mean()
            loss = pg_loss - args.ent_coef * entropy_loss + v_loss * args.vf_coef
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    y_pred, y_true = b_values.cpu().numpy(), b_returns.cpu().numpy()
    explained_var = 1 - np.var(y_true - y_pred) / np.var(y_true)
    print(
        f"update {update}: reward {rewards.mean().item():.4f}, policy {pg_loss.item():.4f}, value {v_loss.item():.4f}, "
        f"entropy {entropy_loss.item():.4f}, explained {explained_var:.4f}"
    )
