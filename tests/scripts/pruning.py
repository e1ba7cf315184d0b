"""Pruning a small network: by size, by channels, over all layers, by a rule of one's own, and made permanent."""

import numpy as np
import torch
import torch.nn.functional as F
import torch.nn.utils.prune as prune
from torch import nn


class SmallNet(nn.Module):
    def __init__(self):
        super(SmallNet, self).__init__()
        self.conv1 = nn.Conv2d(1, 4, 5)
        self.conv2 = nn.Conv2d(4, 8, 3)
        self.fc1 = nn.Linear(8 * 2 * 2, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, int(x.nelement() / x.shape[0]))
        return self.fc1(x)


rng = np.random.RandomState(0)
model = SmallNet()
for p in model.parameters():
    p.data = torch.from_numpy(rng.randn(*p.shape)).float()
module = model.conv1
print([n for n, _ in module.named_parameters()], list(module.named_buffers()))
prune.random_unstructured(module, name="weight", amount=0.3)
print([n for n, _ in module.named_parameters()], [n for n, _ in module.named_buffers()], int(module.weight_mask.sum()))
prune.l1_unstructured(module, name="bias", amount=2)
print(module.bias.detach(), sorted(module._forward_pre_hooks) != [], len(module._forward_pre_hooks))
prune.ln_structured(model.conv2, name="weight", amount=0.5, n=2, dim=0)
print(model.conv2.weight.abs().sum((1, 2, 3)) == 0)
for hook in module._forward_pre_hooks.values():
    if hook._tensor_name == "bias":
        break
print(hook._tensor_name)
print(sorted(model.state_dict().keys()))
prune.remove(module, "weight")
prune.remove(module, "bias")
print([n for n, _ in module.named_parameters()], prune.is_pruned(module), prune.is_pruned(model))
new_model = SmallNet()
for name, mod in new_model.named_modules():
    if isinstance(mod, torch.nn.Conv2d):
        prune.l1_unstructured(mod, name="weight", amount=0.2)
    elif isinstance(mod, torch.nn.Linear):
        prune.l1_unstructured(mod, name="weight", amount=0.4)
print(list(dict(new_model.named_buffers()).keys()))
model = SmallNet()
for p in model.parameters():
    p.data = torch.from_numpy(rng.randn(*p.shape)).float()
to_prune = ((model.conv1, "weight"), (model.conv2, "weight"), (model.fc1, "weight"))
prune.global_unstructured(to_prune, pruning_method=prune.L1Unstructured, amount=0.2)
for m, _ in to_prune:
    print("Sparsity: {:.2f}%".format(100.0 * float(torch.sum(m.weight == 0)) / float(m.weight.nelement())))


class EveryOther(prune.BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t, default_mask):
        mask = default_mask.clone()
        mask.view(-1)[::2] = 0
        return mask


def every_other(module, name):
    EveryOther.apply(module, name)
    return module


every_other(model.fc1, name="bias")
print(model.fc1.bias_mask)
x = torch.from_numpy(rng.randn(2, 1, 16, 16)).float()
out = model(x)
out.sum().backward()
print(out.sum().item(), model.fc1.bias_orig.grad, model.conv1.weight_orig.grad.sum())
prune.custom_from_mask(model.conv1, "bias", torch.tensor([1, 0, 1, 0]))
print(model.conv1.bias_mask, prune.identity(model.conv2, "bias").bias_mask)
