"""Code for other processors: it is written for each, and narrower vectors than this machine's run here."""

from __future__ import annotations

import platform
import sys
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.backends.native import builder, executable
from chainrule.backends.native.run import driver, machine
from chainrule.backends.native.run.machine import compile_text, host, llvm, target_machine, vector_bits
from tests.training_steps import training_step


class Network(nn.Module):
    """Some of everything: convolutions, pooling, normalisation, attention's products, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.images = nn.Sequential(
            nn.Conv2d(3, 20, 3, padding=1), nn.BatchNorm2d(20), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 5, 3),
            nn.Dropout(0.2), nn.Flatten(), nn.Linear(45, 48),
        )  # fmt: skip
        self.sequence = nn.TransformerEncoderLayer(16, 2, 40, batch_first=True)
        self.head = nn.Linear(16, 7)

    def forward(self, x: Any) -> Any:
        """Scores (N, 7) for images (N, 3, 10, 10)."""
        return self.head(self.sequence(self.images(x).reshape(-1, 3, 16)).mean(1))


def losses(compiled: bool, dtype: Any) -> tuple[list[float], Any]:
    chainrule.manual_seed(1)
    model = Network().to(dtype)
    optimizer = chainrule.optim.AdamW(model.parameters(), lr=1e-2)
    random = np.random.default_rng(0)
    x = chainrule.tensor(random.standard_normal((9, 3, 10, 10))).to(dtype)
    y = chainrule.tensor(random.integers(0, 7, 9))
    step = training_step(model, optimizer)
    run: Any = chainrule.compile(step) if compiled else step
    return [run(x, y).item() for _ in range(4)], run


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_every_width_of_vectors_gives_the_same_numbers(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if bits > vector_bits():
        bits = vector_bits()  # wider ones cannot run here
    monkeypatch.setattr(builder, "vector_bits", lambda: bits)
    np.testing.assert_allclose(losses(True, chainrule.float64)[0], losses(False, chainrule.float64)[0], rtol=1e-10)
    np.testing.assert_allclose(losses(True, chainrule.float32)[0], losses(False, chainrule.float32)[0], rtol=2e-5)


TARGETS = {
    "AVX-512": ("x86_64-unknown-linux-gnu", "x86-64-v4", 512, ["vfmadd231ps", "zmm31"]),
    "AVX2": ("x86_64-unknown-linux-gnu", "x86-64-v3", 256, ["vfmadd231ps", "ymm15"]),
    "SSE2": ("x86_64-unknown-linux-gnu", "x86-64", 128, ["mulps", "xmm15"]),
    "NEON": ("aarch64-unknown-linux-gnu", "neoverse-n1", 128, ["fmla", "v31.4s"]),
    "Apple": ("arm64-apple-macosx11.0.0", "apple-m1", 128, ["fmla", ".4s"]),
    "Windows": ("x86_64-pc-windows-msvc", "x86-64-v3", 256, ["vfmadd231ps", "ymm15"]),
}


@pytest.mark.parametrize("name", TARGETS)
def test_code_for_each_target(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All kernels of a training step become machine code with the vector instructions of the target."""
    triple, processor, bits, expected = TARGETS[name]
    monkeypatch.setattr(builder, "vector_bits", lambda: bits)
    monkeypatch.setattr(executable.Executable, "_assemble", _write_only)
    monkeypatch.setattr(executable.Executable, "run", lambda self: None)
    _, step = losses(True, chainrule.float32)
    assembly = ""
    for text in step.program.executable.builder.texts().values():
        module = llvm().parse_assembly(text)
        module.verify()
        assembly += target_machine(triple, processor).emit_assembly(module)
    for word in expected:
        assert word in assembly


WIDE = "define <16 x float> @add(<16 x float> %x, <16 x float> %y) {\n  %z = fadd <16 x float> %x, %y\n  ret <16 x float> %z\n}"


def test_features_that_are_hidden_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CHAINRULE_HIDE_CPU_FEATURES, on a processor that has them; on others there is nothing to hide."""
    monkeypatch.delenv("CHAINRULE_HIDE_CPU_FEATURES", raising=False)  # the suite is run with some hidden too
    found = host.__wrapped__()[1].split(",")
    monkeypatch.setenv("CHAINRULE_HIDE_CPU_FEATURES", "avx512, fma")
    triple, features = host.__wrapped__()
    hidden = {name[1:] for name in found if name[1:].startswith(("avx512", "fma"))}
    assert {name[1:] for name in set(features.split(",")) - set(found)} <= hidden
    assert not any(name[1:] in hidden for name in features.split(",") if name.startswith("+"))
    assembly = target_machine(triple, "", features).emit_assembly(llvm().parse_assembly(WIDE))
    assert "zmm" not in assembly and "add" in assembly


def test_what_the_system_refuses_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux may not let a process have AMX's registers: then the processor counts as one without them."""
    monkeypatch.setattr(machine, "_may_use_amx", lambda: False)
    assert not any(name.startswith("+amx") for name in host.__wrapped__()[1].split(","))


def _write_only(self: Any, rows: Any, builder: Any) -> None:
    """Emit all kernels, and load nothing."""
    for row in rows:
        self._call(builder, row)
    self.builder, self.kernels, self.small = builder, [], True


@pytest.mark.parametrize(
    ("system", "processor", "triple"),
    [
        ("linux", "x86_64", "x86_64-unknown-linux-gnu"), ("linux", "aarch64", "aarch64-unknown-linux-gnu"),
        ("darwin", "arm64", "arm64-apple-macosx11.0.0"), ("win32", "AMD64", "x86_64-pc-windows-msvc"),
    ],
)  # fmt: skip
def test_the_driver_for_each_system(system: str, processor: str, triple: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own way to sleep and to wake, behind the same two names."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(platform, "machine", lambda: processor)
    text = driver.driver_text()
    monkeypatch.undo()
    code = compile_text(text, target_machine(triple))
    assert len(code) > 1000
    assert {"linux": "@syscall", "darwin": "@__ulock_wait", "win32": "@WaitOnAddress"}[system] in text
