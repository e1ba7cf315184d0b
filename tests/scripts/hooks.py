"""Hooks: outputs of layers kept, gradients seen and changed, arguments replaced, weights renamed at loading."""

from collections import OrderedDict, defaultdict
from functools import partial

import numpy as np
import torch
import torch.nn as nn


class SaveOutput:
    def __init__(self):
        self.outputs = []

    def __call__(self, module, module_in, module_out):
        self.outputs.append(module_out)

    def clear(self):
        self.outputs = []


rng = np.random.RandomState(3)
net = nn.Sequential(
    OrderedDict(
        [
            ("conv", nn.Conv2d(1, 2, 3, padding=1)),
            ("bn", nn.BatchNorm2d(2)),
            ("act", nn.ELU(inplace=True)),
            ("pool", nn.AdaptiveMaxPool2d(2)),
            ("flat", nn.Flatten(start_dim=1)),
            ("fc", nn.Linear(8, 3)),
        ]
    )
)
for p in net.parameters():
    torch.nn.init.ones_(p)
    p.data *= torch.from_numpy(rng.uniform(0.5, 1.5, p.shape)).to(p)
save = SaveOutput()
handles = [m.register_forward_hook(save) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
x = torch.from_numpy(rng.randn(4, 1, 6, 6).astype("float32"))
x.requires_grad = True
out = net(x)
print(len(save.outputs), [tuple(o.shape) for o in save.outputs])
for h in handles:
    h.remove()
grads = defaultdict(list)


def bw(name, module, grad_input, grad_output):
    grads[name].append(
        (grad_input[0] if grad_input[0] is None else tuple(grad_input[0].shape), grad_output[0].abs().sum().item())
    )


hs = [m.register_full_backward_hook(partial(bw, n)) for n, m in net.named_children() if n not in ("act", "bn")]
net(x).pow(2).sum().backward()
for k, v in grads.items():
    print(k, v)
[h.remove() for h in hs]


def scale_output(m, args, output):
    return output * 2


with torch.no_grad():
    before = net(x)
    h = net.fc.register_forward_hook(scale_output)
    print((net(x) / before).mean())
    h.remove()
    h = net.fc.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    print(net(x) - net.fc.bias)
    h.remove()
    h = net.fc.register_forward_pre_hook(lambda m, args, kwargs: ((args[0] + 1,), kwargs), with_kwargs=True)
    print(net(x).sum())
    h.remove()
g = net.fc.weight.register_hook(lambda grad: grad.clamp(min=-0.1, max=0.1))
net.zero_grad()
net(x).sum().backward()
print(net.fc.weight.grad.max(), net.conv.weight.grad.abs().max() > 0.1)
g.remove()
activation = {}


def get_activation(name):
    def hook(model, input, output):
        activation[name] = output.detach()

    return hook


net.fc.register_forward_hook(get_activation("fc"))
net.pool.register_forward_hook(get_activation("pool"))
net.eval()
net(x)
print({k: v.norm() for k, v in activation.items()})
print(x.grad.shape, net.bn.running_mean, net.bn.num_batches_tracked)


class Rep:
    def __init__(self, net):
        self.net = net

    def cam(self, x, k):
        feats, gr = [], []
        a = self.net.act.register_forward_hook(lambda m, i, o: feats.append(o.detach().clone()))
        b = self.net.pool.register_full_backward_hook(lambda m, gi, go: gr.append(gi[0].detach()))
        score = self.net(x)[:, k].sum()
        self.net.zero_grad()
        score.backward()
        a.remove()
        b.remove()
        w = gr[0].mean(dim=(2, 3), keepdim=True)
        return torch.relu((w * feats[0]).sum(1, keepdim=True))


cam = Rep(net).cam(x, 1)
print(cam.shape, cam.mean(), nn.functional.interpolate(cam, size=(3, 3), mode="bilinear", align_corners=False)[0, 0, 0])
sd = net.state_dict()
net._register_load_state_dict_pre_hook(lambda state, prefix, *a: state.update({"fc.bias": state["fc.bias"] + 1}))
net.load_state_dict(sd)
print((net.fc.bias - 1).tolist())
net.register_load_state_dict_post_hook(lambda m, keys: print("loaded", keys.missing_keys, keys.unexpected_keys))
net.load_state_dict({k: v for k, v in sd.items() if "fc" not in k} | {"fc.bias": sd["fc.bias"]}, strict=False)
print(
    list(net._modules),
    len(net._parameters),
    net.conv._get_name(),
    net.get_submodule("fc").in_features,
    net.get_parameter("conv.bias").shape,
    net.get_buffer("bn.running_var").shape,
)
