"""What libraries for PyTorch import and ask for when they are loaded: there, or refused where it would be used."""

from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule
from chainrule import fx, nn, vision
from chainrule.errors import AbsentNameError, DataError, DTypeError, NumberRangeError
from chainrule.utils import dlpack, foreach
from chainrule.vision.models import vgg

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("name", ["complex64", "cfloat", "complex128", "cdouble", "complex32", "uint16", "uint32", "uint64"])  # fmt: skip
def test_types_that_no_tensor_holds_can_be_named_and_compared(name: str) -> None:
    dtype, peer = getattr(chainrule, name), getattr(torch, name)
    assert dtype.is_complex == peer.is_complex and dtype.is_signed == peer.is_signed
    assert dtype.itemsize == peer.itemsize and dtype.is_floating_point == peer.is_floating_point
    assert chainrule.ones(1).dtype != dtype and dtype in (chainrule.float32, dtype)
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    for use in (
        lambda: chainrule.zeros(2, dtype=dtype), lambda: chainrule.ones(2).to(dtype), lambda: chainrule.tensor(1, dtype=dtype),
        lambda: chainrule.ones(2).to(dtype=dtype), lambda: nn.Linear(2, 2).to(dtype), lambda: chainrule.set_default_dtype(dtype),
        lambda: chainrule.arange(3, dtype=dtype), lambda: chainrule.iinfo(dtype), lambda: chainrule.ones(2).sum(dtype=dtype),
        lambda: chainrule.full_like(chainrule.ones(1), 2, dtype=dtype),
    ):  # fmt: skip
        with pytest.raises((DTypeError, TypeError)):
            use()


def test_places_and_their_names() -> None:
    from chainrule.fx.experimental.proxy_tensor import get_proxy_mode
    from chainrule.jit.annotations import BroadcastingList2, Dict, List, Optional, Tuple
    from chainrule.nn.modules.transformer import _get_activation_fn
    from chainrule.utils._foreach_utils import _group_tensors_by_device_and_dtype

    assert List[int] and Dict[str, int] and Optional[int] and Tuple[int, int] and BroadcastingList2[int]
    assert fx.wrap(len) is len and fx.wrap("len") == "len" and get_proxy_mode() is None
    assert _get_activation_fn("relu")(chainrule.tensor(-1.0)).item() == 0.0
    assert _group_tensors_by_device_and_dtype is foreach.group_tensors
    assert getattr(chainrule._C, "_CudaDeviceProperties", None) is None
    chainrule._C._log_api_usage_once("models.Mine")
    with pytest.raises(AttributeError, match="chainrule.compile"):
        fx.symbolic_trace  # noqa: B018
    with pytest.raises((AbsentNameError, AttributeError)):
        from chainrule.fx.passes import split_module  # noqa: F401
    assert not chainrule.backends.mkldnn.is_available()
    with chainrule.backends.mkldnn.flags(enabled=False):
        assert vision.__version__ == chainrule.__version__


@pytest.mark.parametrize("name", ["float32", "bfloat16", "int64", "int8", "uint8", "bool"])
def test_types_say_what_they_are(name: str) -> None:
    dtype, peer = getattr(chainrule, name), getattr(torch, name)
    assert (dtype.is_complex, dtype.is_signed) == (peer.is_complex, peer.is_signed)


def test_no_size_is_a_symbol() -> None:
    assert not isinstance(chainrule.ones(3).shape[0], chainrule.SymInt | chainrule.SymFloat | chainrule.SymBool)


def test_groups_of_tensors_are_pytorchs() -> None:
    from torch.utils._foreach_utils import _group_tensors_by_device_and_dtype

    found = []
    for library, group in ((chainrule, foreach.group_tensors), (torch, _group_tensors_by_device_and_dtype)):
        x = [library.ones(i + 1, dtype=library.float64 if i % 2 else library.float32) for i in range(5)]
        groups = group([x, [y * 2 for y in x], []], True)
        found.append(sorted(
            (str(dtype).rpartition(".")[2], [[tuple(y.shape) for y in column] for column in columns], places)
            for (_, dtype), (columns, places) in groups.items()
        ))  # fmt: skip
    assert found[0] == found[1]


def test_tensors_go_to_other_libraries_and_back() -> None:
    x = chainrule.tensor([[1.0, 2.0]])
    there = torch.utils.dlpack.from_dlpack(dlpack.to_dlpack(x))
    there += 1
    assert x.tolist() == [[1.0, 2.0]] and dlpack.from_dlpack(there).tolist() == [[2.0, 3.0]]


@pytest.mark.parametrize("library", [chainrule, torch], ids=lambda library: library.__name__)
def test_assertions(library: Any) -> None:
    library._assert(True, "no")
    library._assert(library.tensor(3) > 2, "no")
    library._assert_async(library.tensor([2]))
    with pytest.raises(AssertionError, match="too small"):
        library._assert(library.tensor(1) > 2, "too small")
    with pytest.raises(AssertionError, match="too small"):
        library._assert(False, "too small")
    with pytest.raises(RuntimeError, match="zero"):
        library._assert_async(library.tensor(False))
    with pytest.raises(RuntimeError, match="mine"):
        library._assert_async(library.tensor(0.0), "mine")
    with pytest.raises(RuntimeError):
        library._assert_async(library.ones(2))


def test_assertions_hold_in_each_run_of_a_compiled_step() -> None:
    def function(x: Any) -> Any:
        chainrule._assert_async((x > 0).all(), "not positive")
        chainrule._assert(x.sum() < 10, "too much")
        return x * 2

    step = chainrule.compile(function)
    assert step(chainrule.ones(2)).tolist() == [2.0, 2.0]
    with pytest.raises(NumberRangeError, match="not positive"):
        step(chainrule.tensor([1.0, -1.0]))
    with pytest.raises(AssertionError, match="too much"):
        step(chainrule.tensor([9.0, 1.0]))


def test_the_convolutions_of_vgg_by_letters() -> None:
    for letter, layers in (("A", 8), ("B", 10), ("D", 13), ("E", 16)):
        made = vgg.make_layers(vgg.cfgs[letter], batch_norm=letter == "B")
        assert sum(isinstance(part, nn.Conv2d) for part in made) == layers
        assert sum(isinstance(part, nn.BatchNorm2d) for part in made) == (10 if letter == "B" else 0)
    expected = chainrule.models.create("vgg11", num_classes=2, init_weights=False).features
    assert str(vgg.make_layers(vgg.cfgs["A"])) == str(expected)
    assert vgg.make_layers([4, "M", 8])(chainrule.zeros(1, 3, 8, 8)).shape == (1, 8, 4, 4)


def test_kmnist_is_read_as_mnist_is_and_not_downloaded(tmp_path: Path) -> None:
    folder = tmp_path / "KMNIST" / "raw"
    folder.mkdir(parents=True)
    images, labels = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28), np.array([3, 9], np.uint8)
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">BBBBIII", 0, 0, 8, 3, 2, 28, 28) + images.tobytes())
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">BBBBI", 0, 0, 8, 1, 2) + labels.tobytes())
    found = vision.datasets.KMNIST(tmp_path, transform=vision.transforms.ToTensor())
    assert len(found) == 2 and found[1][1] == 9 and found.classes[9] == "wo"
    assert np.allclose(found[1][0][0].numpy() * 255, images[1])
    for download in (False, True):
        with pytest.raises(DataError, match="put its four files from http"):
            vision.datasets.KMNIST(tmp_path, train=False, download=download)


def test_pictures_are_resized_by_hamming_and_tensors_are_not() -> None:
    from PIL import Image

    from chainrule.vision.transforms import InterpolationMode, Resize

    picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
    expected = picture.resize((4, 4), Image.Resampling.HAMMING)
    assert np.array_equal(np.asarray(Resize(4, InterpolationMode.HAMMING)(picture)), np.asarray(expected))
    with pytest.raises(ValueError, match="interpolation is one of"):
        Resize(4, InterpolationMode.HAMMING)(chainrule.zeros(1, 8, 8))


@pytest.mark.parametrize("library", [chainrule, torch], ids=lambda library: library.__name__)
def test_the_product_of_sparse_matrices_takes_two_dense_ones(library: Any) -> None:
    x = library.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = library.sparse.mm(x, library.ones(2, 3))
    y.sum().backward()
    assert y.tolist() == [[3.0] * 3, [7.0] * 3] and x.grad.tolist() == [[3.0, 3.0]] * 2
