"""Whole modules in a file: they come back as they were, and a file never runs or imports anything."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as to_bytes

import chainrule
from chainrule import CheckpointError, nn
from chainrule.nn import functional as F
from chainrule.serialization import _checksum


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 4
    rates: tuple[float, ...] = (0.1, 0.2)


class Block(nn.Module):
    """A module that keeps all kinds of things."""

    def __init__(self, config: Config, activation: Any = F.gelu) -> None:
        super().__init__()
        self.config, self.activation, self.norm_class = config, activation, nn.LayerNorm
        self.embed = nn.Embedding(5, config.width)
        self.head = nn.Linear(config.width, 5, bias=False)
        self.head.weight = self.embed.weight
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.BatchNorm1d(4)])
        self.again = self.layers[0]
        self.register_buffer("mask", chainrule.ones(4), persistent=False)
        self.register_buffer("nothing", None)
        self.settings = {"a": [1, 2.5], (1, 2): None}
        self.where = chainrule.device("cpu")
        self.args = argparse.Namespace(lr=0.1, name="x")
        self.more = types.SimpleNamespace(deep=argparse.Namespace(n=1))

    def forward(self, x: Any) -> Any:
        x = self.activation(self.layers[0](self.embed(x)))
        return self.head(self.layers[1](self.again(x)) * self.mask)


def round_trip(thing: Any, **options: Any) -> Any:
    file = io.BytesIO()
    chainrule.save(thing, file)
    return chainrule.load(io.BytesIO(file.getvalue()), **options)


def test_a_module_comes_back_as_it_was() -> None:
    model = Block(Config(4))
    x = chainrule.tensor([0, 1, 4])
    model(x)
    model.layers[1].eval()
    model.layers[0].weight.requires_grad_(False)
    back = round_trip({"model": model, "epoch": 3})["model"]
    assert type(back) is Block and back is not model and repr(back) == repr(model)
    assert back.embed.weight is back.head.weight and back.again is back.layers[0], "what was one is one"
    assert back.training and not back.layers[1].training and not back.layers[0].weight.requires_grad
    assert isinstance(back.head.weight, nn.Parameter) and back.head.weight.requires_grad
    assert back.config == Config(4) and back.activation is F.gelu and back.norm_class is nn.LayerNorm
    assert back.settings == model.settings and back.args == model.args and back.more == model.more
    assert back.where == chainrule.device("cpu") and back.nothing is None and "mask" not in back.state_dict()
    for name, value in model.state_dict().items():
        assert chainrule.equal(back.state_dict()[name], value), name
    model.eval(), back.eval()
    assert chainrule.equal(back(x), model(x))
    back.train()
    optimizer = chainrule.optim.SGD(back.parameters(), lr=0.1)
    before = model.embed.weight.clone()
    back(x).square().sum().backward()
    optimizer.step()
    assert chainrule.equal(model.embed.weight, before) and not chainrule.equal(back.embed.weight, before)


MODELS: list[Any] = [
    lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)),
    lambda: nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True),
    lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.0),
    lambda: nn.Sequential(nn.LazyLinear(3), nn.ReLU()),
    lambda: nn.ParameterDict({"a": nn.Parameter(chainrule.ones(2))}),
    lambda: nn.DataParallel(nn.Linear(2, 2)),
    lambda: chainrule.models.resnet18(num_classes=3) if hasattr(chainrule.models, "resnet18") else nn.Identity(),
    lambda: nn.CrossEntropyLoss(weight=chainrule.tensor([1.0, 2.0])),
]


@pytest.mark.parametrize("make", MODELS)
def test_our_layers_come_back(make: Any) -> None:
    model = make()
    back = round_trip(model)
    assert repr(back) == repr(model) and list(back.state_dict()) == list(model.state_dict())
    assert [type(part) for part in back.modules()] == [type(part) for part in model.modules()]
    uninitialized = (nn.UninitializedParameter, nn.UninitializedBuffer)
    for name, value in model.state_dict(keep_vars=True).items():
        other = back.state_dict(keep_vars=True)[name]
        assert type(other) is type(value)
        assert isinstance(value, uninitialized) or chainrule.equal(other, value)


def test_sparse_tensors_come_back() -> None:
    A = chainrule.sparse_coo_tensor([[0, 1, 1], [2, 0, 0]], [1.0, 2.0, 3.0], (2, 3), requires_grad=True)
    for given in (A, A.coalesce().detach(), A.detach().to_sparse_csr()):
        back = round_trip({"A": given})["A"]
        assert repr(back) == repr(given) and back.is_coalesced() == given.is_coalesced()
        assert back.requires_grad == given.requires_grad
    packed = {"sparse": [{"tensor": {"name": "w"}}, {"tensor": {"name": "w"}}, {"tuple": [3]}, False, None]}
    with pytest.raises(CheckpointError):
        chainrule.load(edited(packed))


def test_what_cannot_be_saved_is_named() -> None:
    class Local(nn.Module):
        pass

    with pytest.raises(CheckpointError, match=r"the object\['net'\] cannot be saved: its class .*Local.*in a function"):
        round_trip({"net": Local()})
    hooked = nn.Sequential(nn.Linear(1, 1))
    handle = hooked[0].register_forward_hook(lambda *_: None)
    with pytest.raises(CheckpointError, match=r"\['0'\].*forward_hooks"):
        round_trip(hooked)
    handle.remove()
    round_trip(hooked)
    with pytest.raises(CheckpointError, match=r"\['activation'\] cannot be saved: it is a function"):
        round_trip(Block(Config(), activation=lambda x: x))
    with pytest.raises(CheckpointError, match=r"state_dict\(\)"):
        round_trip(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)))
    with pytest.raises(CheckpointError, match=r"state_dict\(\)"):
        round_trip(chainrule.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1))


# ------------------------------------------------------------------------------------------ whose classes


SAVING = """
import chainrule
from {module} import Net
chainrule.save(Net(), "net.pt")
"""


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with a module `networks` whose import leaves a trace, and a file with a `Net` of it."""
    (tmp_path / "networks.py").write_text(
        "import chainrule\nopen('imported', 'a').write('x')\n"
        "class Net(chainrule.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = chainrule.nn.Linear(2, 1)\n"
        "    def forward(self, x):\n        return self.layer(x)\n"
    )
    assert run(tmp_path, SAVING.format(module="networks")).returncode == 0
    (tmp_path / "imported").unlink()
    return tmp_path


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(text)
    return subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=100)


def test_a_file_imports_nothing_and_its_error_has_the_line_to_add(saved: Path) -> None:
    loading = "import chainrule\n{line}\nprint(chainrule.load('net.pt'{more})(chainrule.ones(1, 2)).shape)\n"
    done = run(saved, loading.format(line="", more=""))
    assert done.returncode == 1 and not (saved / "imported").exists()
    assert "add `from networks import Net`" in done.stderr and "classes=[Net]" in done.stderr
    done = run(saved, loading.format(line="from networks import Net", more=""))
    assert done.stdout == "Size([1, 1])\n", done.stderr
    moved = loading.format(line="from other import Net", more=", classes=[Net]")
    (saved / "networks.py").rename(saved / "other.py")
    assert run(saved, moved).stdout == "Size([1, 1])\n"


def test_classes_may_be_named_for_all_files(saved: Path) -> None:
    (saved / "networks.py").rename(saved / "other.py")
    text = "import chainrule\nfrom other import Net\nwith chainrule.serialization.safe_globals([Net, len]):\n    print(chainrule.load('net.pt')(chainrule.ones(1, 2)).shape)\nchainrule.load('net.pt')\n"
    done = run(saved, text)
    assert done.stdout == "Size([1, 1])\n" and "classes=[Net]" in done.stderr.splitlines()[-1]


def test_a_class_of_the_script_itself(tmp_path: Path) -> None:
    definition = "import chainrule\nclass Net(chainrule.nn.ReLU):\n    pass\n"
    assert run(tmp_path, f"{definition}chainrule.save(Net(), 'net.pt')").returncode == 0
    assert run(tmp_path, f"{definition}print(chainrule.load('net.pt'))").stdout == "Net()\n"
    done = run(tmp_path, "import chainrule\nchainrule.load('net.pt')")
    assert done.returncode == 1 and "define the class Net" in done.stderr.splitlines()[-1]


def edited(structure: Any) -> io.BytesIO:
    """A file with that structure and a right checksum, as somebody could write it by hand."""
    arrays = {"w": np.ones(2, np.float32)}
    record = {"version": 1, "checksum": _checksum(structure, arrays), "object": structure}
    return io.BytesIO(to_bytes(arrays, {"chainrule": json.dumps(record)}))


def module_entry(name: str, **changes: Any) -> Any:
    empty: dict[str, Any] = {"dict": []}
    entry = {"number": 0, "class": name, "training": True, "not_saved": [], "parameters": empty, "buffers": empty}
    return {"module": {**entry, "modules": empty, "fields": empty, **changes}}


@pytest.mark.parametrize(
    "structure",
    [
        module_entry("os:system"), module_entry("subprocess:Popen"), module_entry("builtins:eval"), module_entry("antigravity:x"),
        module_entry("tempfile:TemporaryDirectory"), module_entry("chainrule.nn.linear:nothing"), module_entry(""), module_entry("::"),
        module_entry(3), module_entry("chainrule.nn:Linear.__init__"), {"class": "os:system"}, {"class": "subprocess:Popen"},
        {"record": ["subprocess:Popen", {"dict": []}]}, {"record": ["chainrule.nn.linear:Linear", {"dict": []}]},
        {"function": "save"}, {"function": "nn.functional.os"}, {"function": "load"}, {"namespace": ["Popen", {"dict": []}]}, {"same": 7}, {"table": ["collections:OrderedDict", {"dict": []}]}, {"table": ["os:_Environ", {"dict": []}]},
        module_entry("chainrule.nn.linear:Linear", parameters={"dict": [["weight", 3]]}),
        module_entry("chainrule.nn.linear:Linear", modules={"dict": [["a", {"tensor": {"name": "w"}}]]}),
        module_entry("chainrule.nn.linear:Linear", fields=[1]), module_entry("chainrule.nn.linear:Linear", fields={"dict": [[1, 2]]}),
    ],
    ids=str,
)  # fmt: skip
def test_files_that_want_something_else_are_refused(structure: Any) -> None:
    known = set(sys.modules)
    with pytest.raises(CheckpointError):
        chainrule.load(edited(structure))
    assert "antigravity" not in set(sys.modules) - known
    with pytest.raises(TypeError, match="list of classes"):
        chainrule.load(edited(1), classes=["os:system"])  # type: ignore[list-item]


#: Where some classes were when files of version 1 could be written first.
FORMER_PLACES = """
    activation:ReLU smooth_activation:SiLU piecewise:Hardtanh maxout:Maxout conv:Conv2d conv_transpose:ConvTranspose1d
    multihead:MultiheadAttention multihead:NonDynamicallyQuantizableLinear causal_attention:CausalSelfAttention
    transformer_layers:TransformerEncoderLayer transformer:TransformerEncoder positions:LearnedPositions tokens:Tokens
    normalization_layers:BatchNorm2d normalization_layers:LayerNorm padding_layers:ZeroPad2d pooling:MaxPool2d
    adaptive_pooling:AdaptiveAvgPool2d fractional_pooling:FractionalMaxPool2d lp_pooling:LPPool1d unpooling:MaxUnpool2d
    recurrent:LSTM recurrent_cells:GRUCell loss:CrossEntropyLoss loss:MSELoss loss:L1Loss loss_adaptive:AdaptiveLogSoftmaxWithLoss
    loss_binary:BCELoss loss_ctc:CTCLoss loss_distribution:KLDivLoss loss_generative:WeightedSum loss_margin:MultiMarginLoss
    loss_regression:HuberLoss resampling:Upsample linear:Linear embedding:Embedding container:Sequential
    container:ModuleList lazy:LazyLinear dropout:Dropout penalty:L1Penalty
"""


@pytest.mark.parametrize("place", FORMER_PLACES.split())
def test_files_say_where_a_class_was_when_they_were_written(place: str) -> None:
    name = place.split(":")[1]
    structure = {"class": f"chainrule.nn.{place}"}
    found = chainrule.load(edited(structure))
    public = getattr(nn, name, None) or getattr(nn.penalty, name, None)
    assert isinstance(found, type) and issubclass(found, nn.Module) and found.__name__ == name
    assert found is public or name == "NonDynamicallyQuantizableLinear"


def test_a_class_that_moved_is_looked_for_in_its_own_part_only() -> None:
    for name in (
        "chainrule.optim.conv:Conv2d",
        "chainrule.nn.conv:Module.__init__",
        "chainrule.nn.conv:nothing",
        "chainrule.nn.conv:np",
    ):
        with pytest.raises(CheckpointError):
            chainrule.load(edited(module_entry(name)))


def test_edited_files_of_ours_are_read() -> None:
    """So what is refused above is refused for what it says and not because of how it was made."""
    assert isinstance(chainrule.load(edited(module_entry("chainrule.nn.linear:Identity"))), nn.Identity)
