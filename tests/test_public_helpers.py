"""Small parts that public programs use: `vision.io`, `hub`, `utils.benchmark`, hooks after errors, samplers, switches."""

from __future__ import annotations

import hashlib
import http.server
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.utils.benchmark import Compare, Measurement, Timer
from chainrule.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset
from chainrule.vision import io

# --------------------------------------------------------------------------------------------- images


def test_images_as_files(tmp_path: Path) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "colour.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    colour, grey = io.read_image(tmp_path / "colour.png"), io.read_image(tmp_path / "grey.png")
    np.testing.assert_array_equal(np.asarray(colour), pixels.transpose(2, 0, 1))
    assert grey.shape == (1, 5, 7) and io.read_image(tmp_path / "grey.png", io.ImageReadMode.RGB).shape == (3, 5, 7)
    assert io.read_image(tmp_path / "colour.png", mode="gray").shape == (1, 5, 7)
    io.write_png(colour, tmp_path / "again.png", compression_level=0)
    assert chainrule.equal(io.decode_image(io.read_file(tmp_path / "again.png")), colour)
    io.write_jpeg(colour, tmp_path / "small.jpg", quality=95)
    with Image.open(tmp_path / "small.jpg") as image:
        assert image.format == "JPEG" and image.size == (7, 5)
    with pytest.raises(chainrule.DataError, match="not an image"):
        io.decode_image(chainrule.zeros(20, dtype="uint8"))
    with pytest.raises(chainrule.ShapeError, match="become bytes by"):
        io.encode_png(chainrule.rand(3, 4, 4))


# ------------------------------------------------------------------------------------- files from the net


def test_weights_from_an_address(tmp_path: Path) -> None:
    model = nn.Linear(2, 3)
    (tmp_path / "site").mkdir()
    chainrule.save(model.state_dict(), tmp_path / "site" / "weights")
    content = (tmp_path / "site" / "weights").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "site" / f"linear-{digest[:8]}.safetensors").write_bytes(content)
    (tmp_path / "site" / "linear-00000000.safetensors").write_bytes(content)

    def handler(*args: Any) -> Any:
        return http.server.SimpleHTTPRequestHandler(*args, directory=str(tmp_path / "site"))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        good, bad = f"{address}/linear-{digest[:8]}.safetensors", f"{address}/linear-00000000.safetensors"
        state = chainrule.hub.load_state_dict_from_url(good, tmp_path / "kept", check_hash=True)
        with pytest.raises(chainrule.DataError, match="not with 00000000"):
            chainrule.hub.load_state_dict_from_url(bad, tmp_path / "kept", check_hash=True)
        server.shutdown()
    assert chainrule.equal(state["weight"], model.weight)
    assert [file.name for file in (tmp_path / "kept").iterdir()] == [f"linear-{digest[:8]}.safetensors"]
    again = chainrule.hub.load_state_dict_from_url(good, tmp_path / "kept")  # the server is gone
    assert chainrule.equal(again["bias"], model.bias)


def test_where_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chainrule.hub, "_folder", None)
    monkeypatch.setenv("CHAINRULE_HOME", str(tmp_path))
    assert chainrule.hub.get_dir() == str(tmp_path / "hub")
    chainrule.hub.set_dir(tmp_path / "other")
    assert chainrule.hub.get_dir() == str(tmp_path / "other")
    with pytest.raises(AttributeError, match="its code is written for PyTorch"):
        chainrule.hub.load  # noqa: B018


# ---------------------------------------------------------------------------------------------- times


def test_a_timer_counts_the_runs_it_says() -> None:
    ticks = iter(range(0, 10_000, 2))  # each look at this clock is two seconds after the last
    runs: list[int] = []
    timer = Timer("runs.append(1)", globals={"runs": runs}, timer=lambda: next(ticks), label="append")
    found = timer.timeit(100)
    assert len(runs) == 101 and found.times == [0.02] and found.mean == found.median == 0.02
    assert "append" in repr(found) and "20 ms" in repr(found)
    seen: list[tuple[int, float]] = []
    many = timer.blocked_autorange(lambda number, time: seen.append((number, time)), min_run_time=9.0)
    assert many.raw_times == [2.0] * 5 and len(seen) == 5
    assert timer.adaptive_autorange(min_run_time=1.0).meets_confidence(0.1)
    with pytest.raises(ValueError, match="measures Python"):
        Timer("x", language="c++")


def test_a_table_of_times() -> None:
    made = [Measurement(1, [t], label="add", sub_label=f"n={n}", description=d) for n, d, t in
            [(1, "ours", 1e-6), (1, "theirs", 2e-3), (10, "ours", 3.5e-9)]]  # fmt: skip
    rows = [line.split() for line in str(Compare(made)).splitlines()]
    assert rows == [["add", "ours", "theirs"], ["n=1", "1", "us", "2", "ms"], ["n=10", "3.5", "ns"]]


# ---------------------------------------------------------------------------------------------- hooks


class Failing(nn.Module):
    def forward(self, x: Any) -> Any:
        raise ValueError("no")


def test_hooks_that_are_always_called_see_none_after_an_error() -> None:
    seen: list[Any] = []
    model = Failing()
    model.register_forward_hook(lambda module, args, output: seen.append(("sometimes", output)))
    model.register_forward_hook(lambda module, args, output: seen.append(("always", output)), always_call=True)
    model.register_forward_hook(
        lambda module, args, kwargs, output: seen.append((kwargs, output)), always_call=True, with_kwargs=True
    )
    with pytest.raises(ValueError, match="no"):
        model(x=chainrule.ones(1))
    assert seen[0] == ("always", None) and list(seen[1][0]) == ["x"] and seen[1][1] is None and len(seen) == 2


def test_a_hook_that_was_called_is_not_called_again() -> None:
    calls: list[str] = []
    model = nn.Identity()

    def fails(*_: Any) -> None:
        raise ValueError("no")

    model.register_forward_hook(lambda *_: calls.append("first"), always_call=True)
    model.register_forward_hook(fails)
    model.register_forward_hook(lambda *_: calls.append("last"), always_call=True)
    with pytest.raises(ValueError):
        model(chainrule.ones(1))
    assert calls == ["first", "last"]


# --------------------------------------------------------------------------------------------- samplers


class Huge:
    def __len__(self) -> int:
        return 10**12


def test_draws_with_replacement_from_huge_sets_need_no_list() -> None:
    tracemalloc.start()
    sampler = RandomSampler(Huge(), replacement=True, num_samples=10**9, generator=chainrule.Generator(3))
    places = iter(sampler)
    first = [next(places) for _ in range(5)]
    batch = next(iter(BatchSampler(sampler, 4, False)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(sampler) == 10**9 and len(batch) == 4 and peak < 200e6
    assert max(first) > 10**9 and all(0 <= place < 10**12 for place in first)


def test_many_draws_are_the_same_one_by_one_in_batches_and_after_resuming() -> None:
    count = 2**20 + 700  # more than one piece

    def made() -> RandomSampler:
        return RandomSampler(range(50), replacement=True, num_samples=count, generator=chainrule.Generator(1))

    whole = np.array(list(made()))
    assert len(whole) == count and len(np.unique(whole)) == 50
    assert abs(whole.mean() - 24.5) < 0.1
    data = TensorDataset(chainrule.arange(50))
    loader = DataLoader(data, batch_size=2**18 + 13, sampler=made())
    np.testing.assert_array_equal(np.concatenate([np.asarray(batch) for (batch,) in loader]), whole)
    sampler = made()
    once, twice = list(sampler)[:100], list(sampler)[:100]
    assert once != twice  # the next pass goes on in the stream


# --------------------------------------------------------------------------------------------- switches


def test_switches_change_nothing() -> None:
    with chainrule.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=True):
        assert chainrule.ones(2).sum() == 2
    with nn.attention.sdpa_kernel([nn.attention.SDPBackend.MATH, nn.attention.SDPBackend.FLASH_ATTENTION]):
        assert chainrule.ones(2).sum() == 2
    with pytest.raises(TypeError, match="SDPBackend"):
        nn.attention.sdpa_kernel("math").__enter__()  # type: ignore[arg-type]
    switches = chainrule.backends.cuda
    with switches.sdp_kernel(enable_flash=False, enable_math=True, enable_mem_efficient=True):
        assert not switches.flash_sdp_enabled() and switches.math_sdp_enabled() and switches.cudnn_sdp_enabled()
        nn.functional.scaled_dot_product_attention(*[chainrule.ones(1, 2, 3)] * 3)
    switches.enable_mem_efficient_sdp(False)
    assert switches.flash_sdp_enabled() and not switches.mem_efficient_sdp_enabled()
    switches.enable_mem_efficient_sdp(True)
    model = nn.Conv2d(3, 4, 1).to(memory_format=chainrule.channels_last)
    assert model(chainrule.ones(1, 3, 2, 2).to(memory_format=chainrule.channels_last)).shape == (1, 4, 2, 2)


@pytest.mark.parametrize("shape", [(4000, 3), (2000, 3, 5)])
def test_dropout2d_of_channels_and_sequences_is_pytorch_s(shape: tuple[int, ...]) -> None:
    with pytest.warns(UserWarning, match="dropout2d takes"):
        y = nn.functional.dropout2d(chainrule.ones(*shape), 0.25)
    kept = np.asarray(y).reshape(shape[0] * 3, -1)
    assert set(np.unique(kept).round(6)) == {0, np.float32(1.333333)}
    assert (kept == kept[:, :1]).all(), "a channel is dropped as a whole"
    assert abs((kept[:, 0] == 0).mean() - 0.25) < 0.03


def test_gradcheck_in_fast_mode() -> None:
    x = chainrule.rand(200, 50, dtype="float64", requires_grad=True)
    assert chainrule.autograd.gradcheck(lambda x: x.exp().sum(), x, fast_mode=True)
    assert chainrule.autograd.gradgradcheck(lambda x: x**3, x[:3, :2].detach().requires_grad_(), fast_mode=True)

    class Wrong(chainrule.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2.01

    with pytest.raises(AssertionError, match="along a random direction"):
        chainrule.autograd.gradcheck(Wrong.apply, x, fast_mode=True)
