"""PyTorch's own files, read without PyTorch: equal to what PyTorch reads, and safe against files made to do harm."""

from __future__ import annotations

import collections
import io
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn, optim

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore:invalid escape:DeprecationWarning"),
]

FORMATS = [(True, 2), (True, 4), (True, 5), (False, 2), (False, 4)]


def written(thing: Any, new: bool = True, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    torch.save(thing, file, _use_new_zipfile_serialization=new, pickle_protocol=protocol)
    return file.getvalue()


def read(content: bytes) -> Any:
    return chainrule.load(io.BytesIO(content))


def assert_same(ours: Any, theirs: Any) -> None:
    """The same values, types, shapes and containers, whatever the depth."""
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, chainrule.Tensor) and f"torch.{ours.dtype.name}" == str(theirs.dtype)
        assert tuple(ours.shape) == tuple(theirs.shape) and ours.requires_grad == theirs.requires_grad
        assert isinstance(ours, nn.Parameter) == isinstance(theirs, torch.nn.Parameter)
        np.testing.assert_array_equal(ours.double().detach().numpy(), theirs.detach().double().numpy())
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs) and isinstance(ours, dict)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs) and isinstance(ours, list) == isinstance(theirs, list)
        for mine, other in zip(ours, theirs, strict=True):
            assert_same(mine, other)
    else:
        assert ours == theirs and type(ours) is type(theirs)


def tensors() -> dict[str, Any]:
    base = torch.arange(24.0).reshape(2, 3, 4)
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    return {
        **{kind: torch.tensor([[0, 1], [2, 3]]).to(getattr(torch, kind)) for kind in kinds},
        "base": base, "transposed": base.transpose(0, 2), "part": base[1, ::2, 1:], "row": base[0, 0], "entry": base[1, 2, 3],
        "expanded": torch.ones(3, 1).expand(3, 5), "flipped": base.flip(0), "empty": torch.zeros(0, 3), "end": base[2:],
        "number": torch.tensor(7), "half part": base.half()[:, 1], "parameter": nn_parameter(base),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False), "wanted": torch.ones(2, requires_grad=True),
    }  # fmt: skip


def nn_parameter(base: Any) -> Any:
    return torch.nn.Parameter(base[0].T)


PLAIN: dict[Any, Any] = {
    "numbers": [1, -1, 2**40, 2**100, 3.5, True, None], "text": ["", "Zürich", b"\x00\xff"], 3: (1, (2, ())),
    "ordered": collections.OrderedDict(b=1, a=2), "counter": collections.Counter("aab"), "sets": [{1, 2}, frozenset("x")],
    ("a", 1): 1 + 2j, None: {}, 2.5: [[[]]],
}  # fmt: skip


@pytest.mark.parametrize(("new", "protocol"), FORMATS)
def test_tensors_and_plain_values_come_as_they_were(new: bool, protocol: int) -> None:
    assert_same(read(written(tensors(), new, protocol)), tensors())
    assert_same(read(written(PLAIN, new, protocol)), PLAIN)
    others = read(
        written(
            [torch.Size([2, 3]), torch.float16, torch.device("cpu"), collections.defaultdict(list, a=1)], new, protocol
        )
    )
    assert (
        others == [chainrule.zeros(2, 3).shape, chainrule.float16, "cpu", {"a": 1}]
        and type(others[0]).__name__ == "Size"
    )


MODELS: list[Any] = [
    lambda m: m.Linear(3, 2),
    lambda m: m.Sequential(m.Conv2d(1, 4, 3), m.BatchNorm2d(4), m.ReLU(), m.Flatten(), m.Linear(16, 3)),
    lambda m: m.LSTM(3, 4, num_layers=2, bidirectional=True),
    lambda m: m.TransformerEncoderLayer(8, 2, 16),
    lambda m: m.MultiheadAttention(8, 2),
    lambda m: m.Embedding(5, 3, padding_idx=0),
    lambda m: m.ModuleDict({"a": m.ConvTranspose2d(2, 3, 2), "b": m.GroupNorm(2, 4)}),
]


@pytest.mark.parametrize("make", MODELS, ids=range(len(MODELS)))
@pytest.mark.parametrize("new", [True, False])
def test_state_dicts_of_modules_load_into_ours(make: Any, new: bool, tmp_path: Path) -> None:
    ours, theirs = make(nn), make(torch.nn)
    (tmp_path / "model.pth").write_bytes(written(theirs.state_dict(), new))
    state = chainrule.load(tmp_path / "model.pth", map_location="cpu")
    assert_same(state, dict(theirs.state_dict()))
    ours.load_state_dict(state)
    assert_same(ours.state_dict(), dict(theirs.state_dict()))
    chainrule.train.load_weights(ours, tmp_path / "model.pth")


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam"])
def test_a_whole_checkpoint_goes_on_where_pytorch_stopped(name: str) -> None:
    options = {"lr": 0.01, **({"momentum": 0.9} if name == "SGD" else {})}
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    their_optimizer = getattr(torch.optim, name)(theirs.parameters(), **options)
    x = torch.randn(8, 4)

    def step(model: Any, optimizer: Any, data: Any) -> None:
        optimizer.zero_grad()
        (model(data) ** 2).sum().backward()
        optimizer.step()

    for _ in range(3):
        step(theirs, their_optimizer, x)
    schedule = torch.optim.lr_scheduler.MultiStepLR(their_optimizer, [2, 2, 5])
    content = written({
        "epoch": 3, "model": theirs.state_dict(), "optimizer": their_optimizer.state_dict(), "schedule": schedule.state_dict(),
    })  # fmt: skip
    saved = read(content)
    ours = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = getattr(optim, name)(ours.parameters(), **options)
    ours.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 5]).load_state_dict(saved["schedule"])
    for _ in range(3):
        step(theirs, their_optimizer, x)
        step(ours, optimizer, chainrule.tensor(x.numpy()))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_what_we_write_other_programs_read(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    theirs = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    ours = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).bfloat16()
    chainrule.save(ours.state_dict(), tmp_path / "ours.pt")
    theirs.bfloat16().load_state_dict(load_file(tmp_path / "ours.pt"))
    assert_same(ours.state_dict(), dict(theirs.state_dict()))
    save_file(theirs.state_dict(), tmp_path / "theirs.any")
    for opened in (tmp_path / "theirs.any", io.BytesIO((tmp_path / "theirs.any").read_bytes())):
        assert_same(dict(sorted(chainrule.load(opened).items())), dict(sorted(theirs.state_dict().items())))
    save_file({"a": torch.zeros(2, dtype=torch.float8_e4m3fn)}, tmp_path / "eight.safetensors")
    with pytest.raises(chainrule.CheckpointError, match=r"eight\.safetensors"):
        chainrule.load(tmp_path / "eight.safetensors")


def test_tied_weights_come_as_one() -> None:
    tied = torch.nn.Linear(3, 3)
    state = read(written({"a": tied.weight.detach(), "b": tied.weight.detach(), "c": tied.weight.detach().T}))
    assert state["a"] is state["b"] and chainrule.equal(state["c"], state["a"].T)
    parameters = read(written([tied.weight, tied.weight]))
    assert parameters[0] is parameters[1] and parameters[0].requires_grad


def test_lazy_modules() -> None:
    """A state without shapes leaves the layer without; one with shapes gives it the weights and their shapes."""
    theirs, x = torch.nn.LazyLinear(2), torch.randn(4, 3)
    shapeless = read(written(theirs.state_dict()))
    assert list(shapeless) == ["weight", "bias"]
    assert all(isinstance(value, nn.UninitializedParameter) for value in shapeless.values())
    ours = nn.LazyLinear(2)
    ours.load_state_dict(shapeless)
    assert ours.has_uninitialized_params() and ours(chainrule.ones(4, 3)).shape == (4, 2)
    expected = theirs(x).detach().numpy()
    fresh = nn.LazyLinear(2)
    fresh.load_state_dict(read(written(theirs.state_dict())))
    assert fresh.weight.shape == (2, 3)
    np.testing.assert_allclose(fresh(chainrule.tensor(x.numpy())).detach().numpy(), expected, rtol=1e-6, atol=1e-7)


# ------------------------------------------------------------------------------------------- harm


class Evil:
    """What a hostile file does in Python's own reader."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    ("thing", "named"),
    [
        (Evil(os.system, ("echo harm > harm",)), "posix.system|nt.system"),
        (Evil(eval, ("open('harm', 'w')",)), r"\.eval"),
        (Evil(exec, ("1",)), r"\.exec"),
        (Evil(getattr, ("text", "upper")), r"\.getattr"),
        (torch.nn.Linear(1, 1), r"torch\.nn\.modules\.linear\.Linear.*state_dict"),
        ({"score": np.float64(3)}, "numpy"),
        (torch.zeros(2).to_sparse(), "sparse"),
        (torch.zeros(2, dtype=torch.complex64), "ComplexFloatStorage"),
        (torch.zeros(2, dtype=torch.uint16), "uint16"),
        (torch.zeros(2, device="meta"), "meta"),
        (Path("x"), "pathlib"),
    ],
)
def test_everything_else_is_refused_by_name(
    thing: Any, named: str, new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(chainrule.CheckpointError, match=named):
        read(written(thing, new))
    assert not list(tmp_path.iterdir())


def test_other_files_say_what_they_are(tmp_path: Path) -> None:
    arrays = io.BytesIO()
    np.savez(arrays, a=np.ones(2))
    script = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), script)
    cases = {
        "npz": arrays.getvalue(), "TorchScript": script.getvalue(), "empty": b"", "neither": b"hello, world",
        "none of PyTorch's": pickle.dumps({"a": 1}), "more than plain": pickle.dumps(Evil(os.system, ("true",))),
    }  # fmt: skip
    for words, content in cases.items():
        (tmp_path / "file.pt").write_bytes(content)
        with pytest.raises(chainrule.CheckpointError, match=rf"file\.pt.*{words}"):
            chainrule.load(tmp_path / "file.pt")


@pytest.mark.parametrize("new", [True, False])
def test_cut_and_damaged_files_give_one_kind_of_error(new: bool) -> None:
    """Every cut is an error; every flipped byte an error or the same structure. The zip format has checksums, the old none."""
    thing = {
        "a": torch.arange(6.0).reshape(2, 3).T,
        "b": [1, "two", torch.nn.Parameter(torch.ones(2))],
        "c": (None, 2.5),
    }
    whole = written(thing, new)
    for length in range(0, len(whole) - 1, max(1, len(whole) // 300)):
        with pytest.raises(chainrule.CheckpointError):
            read(whole[:length])
    random = np.random.default_rng(0)
    unnoticed = 0
    for place in random.integers(0, len(whole), 2000):
        damaged = bytearray(whole)
        damaged[place] ^= random.integers(1, 256)
        try:
            found = read(bytes(damaged))
        except chainrule.CheckpointError:
            continue
        unnoticed += 1
        if new:  # outside of what the checksums cover: names and flags of entries that are not needed
            assert_same(found, thing)
    assert unnoticed < 2000


def stored(pickled: bytes, compress: int = zipfile.ZIP_STORED, **entries: bytes) -> bytes:
    """A zip file in PyTorch's form with any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compress) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in entries.items():
            archive.writestr(f"archive/data/{name}", content)
    return file.getvalue()


def tensor_pickle(count: Any, offset: Any, size: Any, stride: Any, key: str = "s0") -> bytes:
    """The pickle of one tensor, written by hand."""

    def packed(value: Any) -> bytes:
        return pickle.dumps(value, 2)[2:-1].replace(b"q\x00", b"").replace(b"q\x01", b"")

    identity = (
        b"(" + packed("storage") + b"ctorch\nFloatStorage\n" + packed(key) + packed("cpu") + packed(count) + b"tQ"
    )
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + packed(offset) + packed(size) + packed(stride)
    return b"\x80\x02" + call + b"\x89)tR."


def test_a_tensor_lies_inside_its_storage() -> None:
    memory = np.arange(6, dtype=np.float32).tobytes()
    good = read(stored(tensor_pickle(6, 1, (2, 2), (2, 1)), s0=memory))
    assert good.tolist() == [[1, 2], [3, 4]]
    for wrong in (
        (6, 3, (2, 2), (2, 1)), (6, -1, (2,), (1,)), (6, 0, (2,), (-1,)), (6, 0, (-2,), (1,)), (6, 0, (2, 2), (1,)), (7, 0, (1,), (1,)),
        (6, 0, (7,), (1,)), (6, 6, (), ()), (6, 0, (2**62, 2**62), (0, 0)), (6, 2**70, (1,), (1,)), (6, 0.0, (1,), (1,)), ("6", 0, (1,), (1,)),
    ):  # fmt: skip
        with pytest.raises(chainrule.CheckpointError):
            read(stored(tensor_pickle(*wrong), s0=memory))
    with pytest.raises(chainrule.CheckpointError):
        read(stored(tensor_pickle(6, 0, (6,), (1,), key="../elsewhere"), s0=memory))


def test_bombs_stay_small() -> None:
    """Packed zeros, entries that claim to be huge, deep nests and memo places far out take little memory to refuse."""
    packed = stored(tensor_pickle(25_000_000, 0, (1,), (1,)), zipfile.ZIP_DEFLATED, s0=bytes(100_000_000))
    doubled = b"\x80\x02)" + b"\x86".join([b"2"] * 60) + b"\x86}q\x00h\x00" + b"."
    programs = {
        "packed": packed,
        "huge string": stored(b"\x80\x04\x8d" + (2**40).to_bytes(8, "little") + b"x."),
        "huge bytearray": stored(b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x."),
        "memo": stored(b"\x80\x02Nr" + (2**31).to_bytes(4, "little") + b"j" + (2**30).to_bytes(4, "little") + b"."),
        "long": stored(b"\x80\x02\x8b\xff\xff\xff\x7f1."),
        "deep": stored(b"\x80\x02" + b"]" * 100_000 + b"."),
        "doubled key": stored(b"\x80\x02})" + b"2\x86" * 60 + b"Ns."),
        "digits": stored(b"L" + b"9" * 100_000 + b"L\n."),
        "stack": stored(doubled),
    }
    sizes = {name: len(content) for name, content in programs.items()}
    assert max(sizes.values()) < 300_000
    tracemalloc.start()
    for name, content in programs.items():
        with pytest.raises(chainrule.CheckpointError):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000, name
    tracemalloc.stop()


def test_every_opcode_that_calls_or_sets_is_refused() -> None:
    programs = [
        b"\x80\x02ccollections\nOrderedDict\n)R."[:-1] + b"]K\x01b0s.", b"(cos\nsystem\no.", b"(S'true'\nios\nsystem\n.", b"\x80\x02]}b.", b"\x80\x02}(K\x01K\x02b.",
        b"\x80\x02\x82\x01.", b"Pabc\n.", b"\x80\x02ctorch\nSize\n}\x92.", b"\x80\x02N)R.", b"\x80\x02cbuiltins\nint\n(S'1'\ntR.", b"\x80\x02K\x01K\x02.", b"\x80\x02.", b"\x80\x02a.",
        b"\x80\x02]K\x01K\x02s.", b"\x80\x02}]K\x01s.", b"\x80\x04\x8fK\x01e.", b"\x80\x02K\x01Q.", b"\x80\x02ctorch\nload\n.", b"\x80\x05\x97.", b"0.", b"2.", b"(.",
    ]  # fmt: skip
    for program in programs:
        with pytest.raises(chainrule.CheckpointError):
            read(stored(program))
