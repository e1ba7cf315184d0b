"""Programs that leave: what comes out is what the model computes, at every size, and a file executes nothing."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load as read_safetensors

import chainrule
from chainrule import nn
from chainrule.compiler.trace import trace_step
from chainrule.errors import CheckpointError, DTypeError, ShapeError, TraceError
from chainrule.models import create
from chainrule.portable.graph_data import graph_data, graph_from
from chainrule.portable.rules import NAMES
from chainrule.primitives.primitive import registry
from tests.samples import SAMPLES
from tests.test_registry import as_list

PACKAGE = Path(chainrule.__file__).parent


def written(*arguments: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    chainrule.export_program(*arguments, file, **options)
    return file.getvalue()


def read(content: bytes, **options: Any) -> Any:
    return chainrule.load_program(io.BytesIO(content), **options)


NETWORKS = {
    "mlp": ({"sizes": [5, 8, 3]}, (5,)),
    "lenet5": ({}, (1, 32, 32)),
    "resnet10": ({"num_classes": 4}, (3, 16, 16)),
    "unet": ({"num_classes": 3, "in_channels": 1}, (1, 16, 16)),
}


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_predict_what_they_predicted_at_any_batch_size(name: str, backend: str) -> None:
    options, shape = NETWORKS[name]
    model = create(name, **options)
    program = read(written(model, chainrule.zeros(2, *shape), dynamic=True), backend=backend)
    model.eval()
    for batch in (1, 2, 5):
        x = chainrule.randn(batch, *shape)
        with chainrule.no_grad():
            want = model(x)
        have = program(x)
        assert have.shape == want.shape and have.dtype == want.dtype
        np.testing.assert_allclose(have.numpy(), want.numpy(), rtol=1e-5, atol=1e-5)


def test_xla_runs_them_too() -> None:
    pytest.importorskip("jax")
    model = create("mlp", sizes=[5, 8, 3])
    program = read(written(model, chainrule.zeros(2, 5), dynamic=True), backend="xla")
    for batch in (3, 2):
        x = chainrule.randn(batch, 5)
        np.testing.assert_allclose(program(x).numpy(), model(x).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_tokens_of_any_number_and_length() -> None:
    model = create("decoder", vocabulary=11, context=12, width=16, layers=1, heads=2)
    program = read(written(model, chainrule.zeros(2, 6, dtype="int64"), dynamic={0: "batch", 1: "length"}))
    model.eval()
    for shape in ((1, 4), (3, 12), (2, 7)):
        tokens = chainrule.randint(0, 11, shape)
        np.testing.assert_allclose(program(tokens).numpy(), model(tokens).detach().numpy(), atol=2e-5)
    with pytest.raises(ShapeError, match=r"int64\[batch,length\]|shape \[batch,length\], got \[2\]"):
        program(chainrule.zeros(2, dtype="int64"))


def test_a_loop_with_a_carry_travels() -> None:
    model = nn.GRU(3, 4, batch_first=True)
    program = read(written(model, chainrule.zeros(2, 5, 3), dynamic=True))
    x = chainrule.randn(3, 5, 3)
    (have, state), (want, last) = program(x), model(x)
    np.testing.assert_allclose(have.numpy(), want.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(state.numpy(), last.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - {"Scan", "Check", "NumPyFunction"}))
def test_every_primitive_by_its_name(name: str) -> None:
    """Its settings as data: from the file, in NumPy, exactly what it computes here."""
    for sample in SAMPLES[name]:
        tensors = [chainrule.tensor(np.asarray(x)) for x in sample.inputs]

        def apply(*given: Any, settings: Any = sample.settings) -> Any:
            return tuple(as_list(registry[name].apply(*given, **settings)))

        want = apply(*tensors)
        program = read(written(apply, tuple(tensors)), backend="numpy")
        for a, b in zip(program(*tensors), want, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_setting_that_came_later_means_what_the_file_meant() -> None:
    """Files from before attention knew dropout say nothing of it, and drop nothing."""
    q, k, v = (chainrule.randn(2, 5, 4) for _ in range(3))
    graph = trace_step(lambda tensors: [nn.functional.scaled_dot_product_attention(*tensors)], [q, k, v]).graph()
    data = graph_data(graph)
    lost = [e["parameters"].pop("keep") for e in data["equations"] if e["primitive"] == "Attention"]
    assert lost == [1.0]
    assert str(graph_from(data)) == str(graph)


def test_rules_of_checks_are_on_the_list_and_still_raise() -> None:
    """All that are named in calls of `check_numbers`, `check_range` and `by_numpy` within the package."""
    called, checking = set(), ("check_numbers", "check_range", "by_numpy")
    for path in PACKAGE.rglob("*.py"):
        if {"backends", "distributed"} & set(
            path.parts
        ):  # functions of their own by these names; exchanges stay at home
            continue
        text = path.read_text(encoding="utf-8")
        if not any(f"{name}(" in text for name in checking):
            continue
        tree = ast.parse(text)
        origin = {
            alias.asname or alias.name: node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                continue
            rule = node.args[0]
            named = isinstance(rule, ast.Name) and rule.id != "rule"  # which is `check_range` itself
            if node.func.id in checking and named:
                module = str(origin.get(rule.id) or own).removeprefix("chainrule.")
                called.add(f"{module}:{rule.id}")
    assert called == NAMES
    table = nn.Embedding(5, 2)
    for backend in ("numpy", "native"):
        program = read(written(table, chainrule.zeros(3, dtype="int64")), backend=backend)
        with pytest.raises(chainrule.errors.IndexRangeError):
            program(chainrule.tensor([0, 5, 1]))


def test_weights_are_what_they_were_and_others_can_read_them() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    content = written(model, chainrule.zeros(2, 3))
    arrays = read_safetensors(content)
    np.testing.assert_array_equal(arrays["weights.0.weight"], model[0].weight.detach().numpy())
    again = io.BytesIO()
    read(content).save(again)  # after the weights have moved to where the program wants them
    np.testing.assert_array_equal(read_safetensors(again.getvalue())["weights.0.weight"], arrays["weights.0.weight"])


def test_answers_in_containers_arguments_and_views() -> None:
    def step(x: Any, y: Any) -> Any:
        return {"sum": x + y, "same": x, "parts": [x.T, (y[0], None)]}

    x, y = chainrule.randn(2, 3), chainrule.randn(2, 3)
    have = read(written(step, (x, y)))(x, y.numpy())
    want = step(x, y)
    assert have["parts"][1][1] is None
    for a, b in ((have["sum"], want["sum"]), (have["same"], x), (have["parts"][0], x.T), (have["parts"][1][0], y[0])):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_what_was_compiled_leaves_as_what_it_was_made_of() -> None:
    model, x = nn.Linear(3, 2), chainrule.randn(4, 3)
    for made in (chainrule.compile(model), chainrule.compile(lambda t: model(t))):
        np.testing.assert_allclose(read(written(made, x))(x).numpy(), model(x).detach().numpy(), atol=1e-6)


def test_what_has_another_form_is_refused_with_what_was_expected() -> None:
    program = read(written(nn.Linear(3, 2), chainrule.zeros(2, 3), dynamic=True))
    with pytest.raises(ShapeError, match=r"\[batch,3\], got \[2, 4\]"):
        program(chainrule.zeros(2, 4))
    with pytest.raises(DTypeError, match=r"float32, got float64.*astype"):
        program(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match="has 1 inputs, got 2"):
        program(chainrule.zeros(2, 3), chainrule.zeros(2, 3))
    fixed = read(written(nn.Linear(3, 2), chainrule.zeros(2, 3)))
    with pytest.raises(ShapeError, match=r"\[2,3\], got \[4, 3\]"):
        fixed(chainrule.zeros(4, 3))


def test_what_cannot_be_exported_says_why() -> None:
    x = chainrule.ones(4, 3)
    with pytest.raises(TraceError, match="changes tensors that outlive a call"):
        chainrule.export_program(lambda t: nn.functional.dropout(t), x)
    with pytest.raises(TraceError):
        chainrule.export_program(lambda t: t if t.sum() > 0 else -t, x)
    with pytest.raises(TraceError, match="answers a int"):
        chainrule.export_program(lambda t: 3, x)
    with pytest.raises(TraceError, match="depends on batch otherwise"):
        chainrule.export_program(lambda t: t * chainrule.tensor(np.arange(len(t)) ** 2).unsqueeze(1), x, dynamic=True)
    with pytest.raises(TraceError, match="depends on batch otherwise"):
        chainrule.export_program(lambda t: t if len(t) > 6 else -t, x, dynamic=True)
    ones, twos = chainrule.ones(3), chainrule.full((3,), 2.0)
    with pytest.raises(TraceError, match="the weight tensor, depends on batch otherwise"):
        chainrule.export_program(lambda t: t * (ones if len(t) > 4 else twos), x, dynamic=True)
    with pytest.raises(TypeError, match="input 0 of an export is a tensor"):
        chainrule.export_program(nn.Linear(3, 2), np.ones((1, 3)))
    counted = read(written(lambda t: t * chainrule.arange(len(t)).unsqueeze(1), x, dynamic=True))
    np.testing.assert_array_equal(counted(chainrule.ones(7, 3)).numpy()[:, 1], np.arange(7))
    mean = read(written(lambda t: t.mean(0), x, dynamic=True))  # the count follows the size
    np.testing.assert_allclose(mean(chainrule.ones(7, 3)).numpy(), np.ones(3))


ALONG = {
    "gather": lambda x: x.gather(1, x.argsort(1)),
    "the last of three": lambda x: x.reshape(len(x), 3, 4).gather(-1, x.reshape(len(x), 3, 4).argsort(-1)),
    "the middle of three": lambda x: x.reshape(len(x), 3, 4).gather(1, x.reshape(len(x), 3, 4).argsort(1)),
    "take_along_dim": lambda x: x.take_along_dim(x.argsort(1), 1),
    "scatter": lambda x: chainrule.zeros_like(x).scatter(1, x.argsort(1), x),
}


@pytest.mark.parametrize("name", list(ALONG))
def test_places_along_a_dimension_go_with_the_batch(name: str) -> None:
    program = read(written(ALONG[name], chainrule.randn(4, 12), dynamic=True))
    for n in (1, 2, 9):
        x = chainrule.randn(n, 12)
        np.testing.assert_array_equal(program(x).numpy(), ALONG[name](x).numpy())


# ---------------------------------------------------------------------------------- foreign files


def edited(content: bytes, edit: Any) -> bytes:
    """The file with its description changed, and the checksum of that written anew: no accident but a forger."""
    from safetensors.numpy import save

    from chainrule.serialization import _METADATA_KEY, _checksum

    arrays = read_safetensors(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    record = json.loads(header["__metadata__"][_METADATA_KEY])
    record["object"] = json.loads(edit(json.dumps(record["object"])))
    record["checksum"] = _checksum(record["object"], arrays)
    return save(arrays, {_METADATA_KEY: json.dumps(record)})


FORGED = {
    "an operation that is not there": ('"MatMul"', '"SystemCall"', "SystemCall"),
    "a function that no program may name": ('"nn.embedding:_are_words"', '"files:write_text"', "no program may"),
    "another kind of file": ('"chainrule program"', '"something else"', "holds no program"),
    "a newer version": ('["version", 1]', '["version", 2]', "version 2"),
    "a value that is not made yet": ('["inputs", [2, 3]]', '["inputs", [2, 99]]', "describes no program"),
    "a value by its place from the end": ('["inputs", [2, 3]]', '["inputs", [2, -1]]', "known by its number"),
    "a setting of an unknown kind": ('[["dtype", "int64"]]', '[["object", "int64"]]', "unknown"),
    "a size that is none": ('["sizes", {"dict": []}]', '["sizes", {"dict": [["batch", "x"]]}]', "sizes"),
    "a weight of another name": ('[0, "0.weight"]', '[0, "0.height"]', "describes no program"),
    "settings that the operation does not have": ('["axes"', '["actions"', "describes no program"),
}


@pytest.mark.parametrize("what", FORGED)
def test_forged_files_are_refused_in_one_sentence(what: str) -> None:
    old, new, said = FORGED[what]
    content = written(_Summed(), chainrule.zeros(2, 3, dtype="int32"))
    found: list[int] = []

    def edit(text: str) -> str:
        found.append(text.count(old))
        return text.replace(old, new)

    forged = edited(content, edit)
    assert found[0], f"{old} is not in the file"
    with pytest.raises(CheckpointError, match=said) as error:
        read(forged)
    assert "\n" not in str(error.value)


class _Summed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.Embedding(5, 4))

    def forward(self, x: Any) -> Any:
        y = getattr(self, "0")(x.long())
        return y[0] @ y[1].T, y.sum(1)


def test_accidents_are_noticed() -> None:
    content = written(nn.Linear(3, 2), chainrule.zeros(2, 3))
    half, flipped = content[: len(content) // 2], bytearray(content)
    flipped[-3] ^= 1
    pickled = b"\x80\x04c" + b"os\nsystem\n."
    for damaged in (b"", half, bytes(flipped), content[:-1], pickled, b"\x00" * 64, b"{}" * 30):
        with pytest.raises(CheckpointError):
            read(damaged)
    state = io.BytesIO()
    chainrule.save(nn.Linear(3, 2).state_dict(), state)
    with pytest.raises(CheckpointError, match="holds no program"):
        read(state.getvalue())


# ------------------------------------------------------------------------------ other processes

ALONE = """
import sys
for name in ("llvmlite", "PIL", "matplotlib", "rich", "typer", "pickle_of_old"):
    sys.modules[name] = None
import numpy as np
import chainrule
program = chainrule.load_program(sys.argv[1], backend="numpy")
print(program.run([np.load(sys.argv[2])])[0].tolist())
third = {name.partition(".")[0] for name in sys.modules} & {"torch", "jax", "onnx", "starlette", "scipy", "llvmlite"}
third -= {name for name in third if sys.modules[name] is None}
parts = {"chainrule.optim", "chainrule.data", "chainrule.train", "chainrule.models", "chainrule.compiler.function"}
assert not third and not parts & set(sys.modules), (third, parts & set(sys.modules))
"""


def run(script: str, *arguments: Any, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_numpy_and_our_runtime_are_enough(tmp_path: Path) -> None:
    model = create("lenet5").eval()
    chainrule.export_program(model, chainrule.zeros(2, 1, 32, 32), tmp_path / "digits.program", dynamic=True)
    x = chainrule.randn(3, 1, 32, 32)
    np.save(tmp_path / "x.npy", x.numpy())
    found = json.loads(run(ALONE, tmp_path / "digits.program", tmp_path / "x.npy"))
    np.testing.assert_allclose(found, model(x).detach().numpy(), rtol=1e-5, atol=1e-6)


COMPILING = """
import sys
import numpy as np
import chainrule
from chainrule.backends.native.run import functions, machine, pool
made = []
compile_text = machine.compile_text
def counted(*arguments):
    made.append(1)
    return compile_text(*arguments)
functions.compile_text = pool.compile_text = counted
program = chainrule.load_program(sys.argv[1], code=sys.argv[2] == "code")
total = program(np.ones((2, 3), np.float32)).sum().item()
print(len(made), total)
"""


def test_machine_code_beside_is_used_where_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "model.program"
    program = chainrule.export_program(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), chainrule.zeros(2, 3))
    program.save(path, with_code=True)
    want = program(chainrule.ones(2, 3)).sum().item()

    def compiled(how: str, **environment: str) -> int:
        count, total = run(COMPILING, path, how, CHAINRULE_CACHE="0", **environment).split()
        assert float(total) == pytest.approx(want, rel=1e-5)
        return int(count)

    assert compiled("without") > 0, "nothing is executed that nobody has asked for"
    assert compiled("code") == 0
    # Another processor makes another text or has other features: all of it is compiled there.
    assert compiled("code", CHAINRULE_HIDE_CPU_FEATURES="avx sse4 bmi popcnt") > 0
    beside = path.with_name("model.program.code")
    beside.write_bytes(beside.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.program\.code"):
        chainrule.load_program(path, code=True)
