"""A model as a library for C: what C computes with it is what the program computes here."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.errors import TraceError
from chainrule.models import create
from chainrule.portable.c_library import write_c_library
from tests.test_cli import call

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def compiled(folder: Path, *arguments: str) -> None:
    done = subprocess.run([str(COMPILER), *arguments], cwd=folder, capture_output=True, text=True)
    assert not done.returncode and not done.stderr, done.stderr


def loaded(folder: Path, name: str) -> Any:
    """The library as a shared one, which Python can call."""
    whole = ("-Wl,--whole-archive", f"lib{name}.a", "-Wl,--no-whole-archive")
    compiled(folder, "-shared", "-o", f"lib{name}.so", *whole, "-lm")
    return ctypes.CDLL(str(folder / f"lib{name}.so"))


def pointer(array: np.ndarray) -> Any:
    return ctypes.c_void_p(array.ctypes.data)


def number_of(header: str, name: str) -> int:
    return next(int(line.split()[2]) for line in header.splitlines() if line.startswith(f"#define {name} "))


def in_c(folder: Path, program: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """The results of the library, called in a workspace with guards on both sides of everything it may write to."""
    write_c_library(program, folder, "net")
    library = loaded(folder, "net")
    size = number_of((folder / "net.h").read_text(), "NET_WORKSPACE_BYTES")
    memory = np.full(size + 4096, 0xA5, np.uint8)
    start = -memory.ctypes.data % 64 + 1024
    like = program.run(arrays)
    guarded = [np.full(want.nbytes + 128, 0x5A, np.uint8) for want in like]
    given = [array.copy() for array in arrays]
    places = [ctypes.c_void_p(g.ctypes.data + 64) for g in guarded]
    assert library.net_in(ctypes.c_void_p(memory.ctypes.data + start), *map(pointer, given), *places) == 0
    assert (memory[:start] == 0xA5).all() and (memory[start + size :] == 0xA5).all()
    for array, before in zip(given, arrays, strict=True):
        np.testing.assert_array_equal(array, before)
    found = []
    for g, want in zip(guarded, like, strict=True):
        assert (g[:64] == 0x5A).all() and (g[64 + want.nbytes :] == 0x5A).all()
        found.append(np.frombuffer(g[64 : 64 + want.nbytes].tobytes(), want.dtype).reshape(want.shape))
    return found


def _gru() -> Any:
    model = nn.GRU(3, 4, batch_first=True)
    return lambda x: model(x)[0]


NETWORKS: dict[str, tuple[Any, tuple[int, ...], str]] = {
    "lenet5": (lambda: create("lenet5"), (2, 1, 32, 32), "float32"),
    "resnet10": (lambda: create("resnet10", num_classes=4), (1, 3, 16, 16), "float32"),
    "unet": (lambda: create("unet", num_classes=3, in_channels=1), (1, 1, 16, 16), "float32"),
    "decoder": (lambda: create("decoder", vocabulary=11, context=8, width=16, layers=1, heads=2), (2, 8), "int64"),
    "a loop": (_gru, (2, 40, 3), "float32"),
    "doubles": (lambda: nn.Linear(3, 5).double(), (3, 3), "float64"),
    "two results": (lambda: lambda x: (x.softmax(1), x.argmax(1), x > 0), (3, 7), "float32"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_c_computes_the_same(name: str, tmp_path: Path) -> None:
    make, shape, dtype = NETWORKS[name]
    x = chainrule.randint(0, 11, shape) if dtype == "int64" else chainrule.randn(*shape, dtype=dtype)
    program = chainrule.export_program(make(), x)
    want = program.run([x.numpy()])
    for a, b in zip(in_c(tmp_path, program, [x.numpy()]), want, strict=True):
        # The same machine code, part by part: not a bit differs.
        np.testing.assert_array_equal(a, b)


def test_the_example_compiles_without_a_warning_and_prints_the_results(tmp_path: Path) -> None:
    model = create("lenet5").eval()
    write_c_library(chainrule.export_program(model, chainrule.zeros(1, 1, 32, 32)), tmp_path, "digits")
    strict = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
    compiled(tmp_path, *strict, "-O2", "example.c", "libdigits.a", "-lm", "-o", "example")
    x = chainrule.randn(1, 1, 32, 32)
    text = " ".join(repr(float(value)) for value in x.numpy().ravel())
    done = subprocess.run([tmp_path / "example"], input=text, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(np.array(done.stdout.split(), float), model(x).detach().numpy()[0], rtol=1e-5, atol=1e-6)
    short = subprocess.run([tmp_path / "example"], input="1 2 3", capture_output=True, text=True)
    assert short.returncode == 2 and "1024 numbers are needed, there are 3" in short.stderr


def test_bfloat16_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What a processor has for it may have to be asked for: a program without Python does so itself."""
    weight = chainrule.randn(64, 48).bfloat16()
    program = chainrule.export_program(lambda x: (x.bfloat16() @ weight).float(), chainrule.zeros(32, 64))
    write_c_library(program, tmp_path, "halves")
    compiled(tmp_path, "-O2", "example.c", "libhalves.a", "-lm", "-o", "example")
    x = chainrule.randn(32, 64).bfloat16().float()
    text = " ".join(repr(float(value)) for value in x.numpy().ravel())
    done = subprocess.run([tmp_path / "example"], input=text, capture_output=True, text=True, check=True)
    want = x.numpy().astype(np.float64) @ weight.double().numpy()
    np.testing.assert_allclose(np.array(done.stdout.split(), float).reshape(32, 48), want, rtol=2.0**-8, atol=1e-4)


def test_wrong_numbers_are_a_code_and_change_nothing(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Embedding(5, 2))
    write_c_library(chainrule.export_program(model, chainrule.zeros(3, dtype="int64")), tmp_path, "words")
    library = loaded(tmp_path, "words")
    library.words_message.restype = ctypes.c_char_p
    results = np.full((3, 2), 7.0, np.float32)
    code = library.words_predict(pointer(np.array([0, 5, 1])), pointer(results))
    assert code > 0 and library.words_message(code).startswith(b"0: ") and (results == 7).all()
    assert library.words_predict(pointer(np.array([0, 4, 1])), pointer(results)) == 0
    np.testing.assert_array_equal(results, model[0].weight.detach().numpy()[[0, 4, 1]])
    assert library.words_message(0) == b"" and library.words_message(-1) == b"out of memory."


def test_several_threads_at_once(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(40, 60), nn.Tanh(), nn.Linear(60, 5)).eval()
    program = chainrule.export_program(model, chainrule.zeros(4, 40))
    write_c_library(program, tmp_path, "net")
    library = loaded(tmp_path, "net")
    inputs = np.random.default_rng(0).standard_normal((8, 4, 40)).astype(np.float32)
    results = np.zeros((8, 4, 5), np.float32)

    def work(i: int) -> None:
        for _ in range(200):
            library.net_predict(pointer(inputs[i]), pointer(results[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results, [program.run([x])[0] for x in inputs])


def test_what_has_no_machine_code_is_named(tmp_path: Path) -> None:
    program = chainrule.export_program(lambda x: chainrule.linalg.cholesky(x), chainrule.eye(2))
    with pytest.raises(TraceError, match="Cholesky have no machine code"):
        write_c_library(program, tmp_path, "net")
    with pytest.raises(ValueError, match="name of letters"):
        write_c_library(program, tmp_path, "a-b")
    unused = chainrule.export_program(lambda x, y: y + 1, (chainrule.eye(2), chainrule.eye(2)))
    with pytest.raises(TraceError, match="no result depends on input 0"):
        write_c_library(unused, tmp_path, "net")


def test_the_command(tmp_path: Path, capsys: Any) -> None:
    folder = tmp_path / "c"
    code, out, _ = call(capsys, "export", "lenet5", "--format", "c-library", "--output", str(folder))
    assert code == 0 and "for C" in out
    assert sorted(file.name for file in folder.iterdir()) == ["example.c", "lenet5.h", "liblenet5.a"]
    compiled(folder, "example.c", "liblenet5.a", "-lm", "-o", "example")
