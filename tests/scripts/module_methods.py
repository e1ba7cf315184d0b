"""What modules of one's own redefine: how they train, convert, print, save and load; and containers edited in place."""

import torch
from torch import nn


class Frozen(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(2)
        self.drop = nn.Dropout(0.5)
        self.calls = []

    def train(self, mode=True):
        super().train(mode)
        self.bn.eval()
        self.calls.append(mode)
        return self

    def forward(self, x):
        return self.bn(x)


class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.freqs = torch.ones(2)
        self.w = nn.Parameter(torch.ones(2))

    def _apply(self, fn):
        self = super()._apply(fn)
        self.freqs = fn(self.freqs)
        return self

    def _get_name(self):
        return "Spun" + super()._get_name()

    def extra_repr(self):
        return "n={}".format(2)


class Renamed(nn.Module):
    _version = 2

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(2))

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        old = prefix + "weight_g"
        if old in state_dict:
            state_dict[prefix + "gain"] = state_dict.pop(old).reshape(-1)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class Quiet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.zeros(1))
        self.b = nn.Parameter(torch.zeros(1))

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        del destination[prefix + "b"]
        destination[prefix + "note"] = torch.tensor(7)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        state_dict.pop(prefix + "note", None)
        state_dict.setdefault(prefix + "b", torch.full((1,), 5.0))
        super()._load_from_state_dict(state_dict, prefix, *args)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.frozen, self.rot, self.ren, self.quiet = Frozen(), Rotary(), Renamed(), Quiet()


net = Net()
print(net)
net.train()
print(net.frozen.bn.training, net.frozen.drop.training, net.frozen.calls)
net.eval().train(True)
print(net.frozen.bn.training, net.frozen.calls, net.training)
net.double()
print(net.rot.freqs.dtype, net.rot.w.dtype, net.frozen.bn.num_batches_tracked.dtype)
net.to(torch.float32)
net.half().float()
print(net.rot.freqs.dtype)
sd = net.state_dict()
print(list(sd))
old = {k: v for k, v in sd.items()}
old["ren.weight_g"] = torch.tensor([[3.0, 4.0]])
del old["ren.gain"]
print(net.load_state_dict(old), net.ren.gain.tolist(), net.quiet.b.item())


def strip(state_dict, prefix, *args):
    for k in list(state_dict):
        if k.startswith("module."):
            state_dict[k[7:]] = state_dict.pop(k)


net._register_load_state_dict_pre_hook(strip)
net.load_state_dict({"module." + k: v * 0 for k, v in sd.items()})
print(net.ren.gain.tolist())
net._register_state_dict_hook(lambda m, state, prefix, meta: state.update(extra=torch.ones(1)))
print(list(net.state_dict())[-1])


class Teacher(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def parameters(self, recurse=True):
        return iter([])

    def requires_grad_(self, flag=True):
        return super().requires_grad_(flag)


print(len(list(nn.Sequential(Teacher()).parameters())))
net._apply(lambda t: t + 1 if t.is_floating_point() else t)
print(net.ren.gain.tolist(), net.rot.freqs)
m = nn.Linear(2, 2)
m._parameters["bias"] = None
print(m(torch.ones(1, 2)).shape, m, m._buffers, [k for k in m._modules])
m.register_parameter("scale", nn.Parameter(torch.ones(1)))
m.register_buffer("steps", torch.tensor(0))
m.steps += 1
print(m.steps, dict(m.named_buffers()), m.extra_repr(), hasattr(m, "nope"), "scale" in dict(m.named_parameters()))
s = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
s.append(nn.Tanh()).insert(1, nn.Identity())
s.extend([nn.Flatten()])
del s[1]
print(s[-2:], len(s), s.pop(0), [type(c).__name__ for c in s.children()])
ml = nn.ModuleList([nn.Linear(1, 1)])
ml += [nn.ReLU()]
ml.insert(0, nn.Tanh())
print(ml, ml[1:])
md = nn.ModuleDict([["a", nn.ReLU()], ["b", nn.Tanh()]])
md.update({"c": nn.Identity()})
md["d"] = nn.ELU()
print(list(md.keys()), md.pop("a"), "b" in md, len(md), [k for k, v in md.items()])
pl = nn.ParameterList([torch.ones(1), nn.Parameter(torch.zeros(2))])
print([type(p).__name__ for p in pl], len(pl))
seq = s.apply(lambda m: setattr(m, "tag", type(m).__name__))
print([m.tag for m in seq.modules()], [n for n, _ in seq.named_modules()])
