"""Known data sets: found where they are, in all the forms they come in, and right in number, mean and classes."""

from __future__ import annotations

import gzip
import inspect
import io
import itertools
import os
import shutil
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import chainrule
from chainrule import data
from chainrule.data import cifar, mnist, places, shakespeare
from chainrule.data.cifar import CIFAR10_CLASSES, load_cifar_arrays
from chainrule.data.mnist import load_mnist_arrays
from chainrule.data.shakespeare import load_shakespeare_text
from chainrule.errors import DataError
from chainrule.vision import datasets
from tests.real_data import real_data

NIGHTLY = bool(os.environ.get("CHAINRULE_NIGHTLY"))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees, or writes to, the cache of the one who runs it; and none goes to the network."""
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("no test goes to the network"))
    return tmp_path / "cache"


# --- the real data ---


def test_mnist_is_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_DATA", str(real_data("mnist")))
    images, labels = load_mnist_arrays()
    assert images.shape == (60_000, 28, 28) and images.dtype == np.uint8
    assert round(float(images.mean()) / 255, 4) == 0.1307 and round(float(images.std()) / 255, 4) == 0.3081
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert np.bincount(labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test_images, test_labels = load_mnist_arrays(train=False)
    assert test_images.shape == (10_000, 28, 28) and test_labels[:4].tolist() == [7, 2, 1, 0]

    splits = data.load("mnist")
    assert len(splits.train) + len(splits.validation) == 60_000 and len(splits.test) == 10_000
    assert abs(len(splits.validation) - 6000) <= 5, "each class divides to within one"
    assert splits.classes == 10 and splits.names[3] == "3 - three"
    assert isinstance(splits.mean, float) and abs(splits.mean - 0.1307) < 5e-4
    x, y = splits.train.tensors
    assert x.shape == (len(splits.train), 1, 28, 28) and x.dtype is chainrule.float32 and y.dtype is chainrule.int64
    # The mean and standard deviation of 42 million numbers in float32, computed in float64.
    values = x.numpy().astype(np.float64)
    assert abs(values.mean()) < 1e-5 and abs(values.std() - 1) < 1e-5
    x, y = splits.test.tensors
    np.testing.assert_allclose(
        x[0, 0].numpy(), (test_images[0] / 255 - splits.mean) / np.float64(splits.std), rtol=0, atol=1e-6
    )
    assert y.tolist() == test_labels.tolist()
    small = data.load("mnist", size=14, seed=1)
    assert (
        small.train.tensors[0].shape[1:] == (1, 14, 14)
        and small.train.tensors[1].tolist() != splits.train.tensors[1].tolist()
    )


def test_the_real_cifar10_archive_begins_with_photographs() -> None:
    """60,000 are decoded at night, below."""
    path = real_data("cifar10-jpeg.tar.xz") / "cifar10-jpeg.tar.xz"
    found = list(itertools.islice(cifar._images_in(path), 20))
    with tarfile.open(path) as archive:  # by other means
        files = itertools.islice((member for member in archive if member.isfile()), 20)
        for member, (part, name, image) in zip(files, found, strict=True):
            assert member.name.startswith(f"{part}/{name}/")
            expected = np.asarray(Image.open(archive.extractfile(member)).convert("RGB"))  # type: ignore[arg-type]
            assert np.array_equal(image.transpose(1, 2, 0), expected)


def archive_of_jpegs(path: Path) -> int:
    """A small one, its members mixed up, of which each image is of the colour of its class; how many are of a class."""
    entries = [
        (part, name, i) for part, size in (("train", 20), ("test", 4)) for name in CIFAR10_CLASSES for i in range(size)
    ]
    with tarfile.open(path, "w:xz") as archive:
        for place in np.random.default_rng(0).permutation(len(entries)):
            part, name, i = entries[place]
            memory = io.BytesIO()
            colour = 25 * CIFAR10_CLASSES.index(name) + i % 5
            Image.new("RGB", (32, 32), (colour, 255 - colour, 90)).save(memory, "JPEG", quality=100)
            member = tarfile.TarInfo(f"{part}/{name}/{i:04}.jpg")
            member.size = memory.tell()
            memory.seek(0)
            archive.addfile(member, memory)
    return 20


@pytest.mark.timeout(600)  # 60,000 files to decode
@pytest.mark.parametrize("real", [False, True] if NIGHTLY else [False], ids=lambda real: "real" if real else "small")
def test_cifar10_of_jpeg_files(real: bool, monkeypatch: pytest.MonkeyPatch, empty_cache: Path, tmp_path: Path) -> None:
    folder = real_data("cifar10-jpeg.tar.xz") if real else tmp_path
    each = 5000 if real else archive_of_jpegs(folder / "cifar10-jpeg.tar.xz")
    monkeypatch.setenv("CHAINRULE_DATA", str(folder))
    images, labels, names = load_cifar_arrays()
    assert images.shape == (10 * each, 3, 32, 32) and images.dtype == np.uint8 and names == CIFAR10_CLASSES
    assert np.bincount(labels).tolist() == [each] * 10
    if real:  # Of the original pixels: 0.4914, 0.4822, 0.4465. JPEG keeps the means but for rounding.
        np.testing.assert_allclose(images.mean((0, 2, 3)) / 255, [0.4914, 0.4822, 0.4465], rtol=0, atol=5e-4)
    else:  # each image stands beside its label
        assert (abs(images[:, 0].mean((1, 2)) - 25 * labels - 2) < 6).all()

    # From here on the archive is not decoded again.
    monkeypatch.setattr(cifar, "_decode_images", lambda *_: pytest.fail("decoded twice"))
    test_images, test_labels, _ = load_cifar_arrays(train=False)
    assert np.bincount(test_labels).tolist() == [each // 5] * 10 and test_images.shape == (2 * each, 3, 32, 32)
    splits = data.load("cifar10")
    assert [len(part) for part in splits[:3]] == [9 * each, each, 2 * each] and splits.names == CIFAR10_CLASSES
    x, _ = splits.train.tensors
    channels = x.numpy().transpose(1, 0, 2, 3).reshape(3, -1)
    assert np.abs(channels.mean(1, dtype=np.float64)).max() < 1e-5
    assert np.abs(channels.std(1, dtype=np.float64) - 1).max() < 1e-5
    back = splits.test.tensors[0][:100] * splits.std + splits.mean
    np.testing.assert_allclose(back.numpy() * 255, test_images[:100], rtol=0, atol=1e-4)

    dataset = datasets.CIFAR10(folder, train=False)
    assert dataset.data.shape == (2 * each, 32, 32, 3) and dataset.targets == test_labels.tolist()
    one = each // 5 * 3 // 2
    image, label = dataset[one]
    assert image.mode == "RGB" and label == 1 and np.array_equal(np.asarray(image), dataset.data[one])

    # A damaged copy is made anew.
    monkeypatch.undo()
    monkeypatch.setenv("CHAINRULE_DATA", str(folder))
    monkeypatch.setenv("CHAINRULE_CACHE", str(empty_cache))
    called = []
    monkeypatch.setattr(cifar, "_decode_images", lambda *_: called.append(1) or _tiny())
    copy = next(empty_cache.rglob("test_images.npy"))
    copy.write_bytes(copy.read_bytes()[:-1])
    assert len(load_cifar_arrays(train=False)[0]) == 1 and called == [1]


def _tiny() -> dict[str, np.ndarray]:
    one = {f"{part}_images": np.zeros((1, 3, 32, 32), np.uint8) for part in ("train", "test")}
    return {**one, "train_labels": np.zeros(1), "test_labels": np.zeros(1), "names": np.array(CIFAR10_CLASSES)}


def test_shakespeare_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_DATA", str(real_data("tinyshakespeare.txt")))
    text = load_shakespeare_text()
    assert len(text) == 1_115_394 and text.startswith("First Citizen:\nBefore we proceed")
    splits = data.load("shakespeare", size=50)
    assert splits.classes == 65 and splits.vocabulary is not None and len(splits.names) == 65
    x, y = splits.train.tensors
    assert x.shape == y.shape and x.shape[1] == 50 and x.dtype is chainrule.int64
    assert (
        splits.vocabulary.decode(x[0].tolist()) == text[:50] and splits.vocabulary.decode(y[0].tolist()) == text[1:51]
    )
    assert chainrule.equal(x[:, 1:], y[:, :-1])
    test = splits.test.tensors[0]
    start = len(text) * 9 // 10
    assert splits.vocabulary.decode(test.reshape(-1).tolist()) == text[start : start + test.numel()]
    assert data.load("shakespeare").train.tensors[0].shape[1] == 64
    for size in (0, 10**6):
        with pytest.raises(DataError, match="pieces of .* characters: expected 1 to 111,538"):
            data.load("shakespeare", size=size)


# --- where they are found ---


def write_mnist(folder: Path, count: int = 20, label: int = 3, ending: str = ".gz", spelling: str = "-idx") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        images = bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 28, 28) + bytes([label]) * (count * 784)
        labels = bytes([0, 0, 8, 1]) + struct.pack(">I", count) + bytes([label]) * count
        for name, content in (("images-idx3", images), ("labels-idx1", labels)):
            path = folder / f"{part}-{name}-ubyte{ending}".replace("-idx", spelling)
            path.write_bytes(gzip.compress(content) if ending else content)


@pytest.mark.parametrize("place", ["MNIST/raw", "MNIST", "mnist", "."])
@pytest.mark.parametrize(("ending", "spelling"), [(".gz", "-idx"), ("", "-idx"), ("", ".idx")])
def test_mnist_is_found_in_its_folders(tmp_path: Path, place: str, ending: str, spelling: str) -> None:
    write_mnist(tmp_path / place, ending=ending, spelling=spelling)
    images, labels = load_mnist_arrays(root=tmp_path, download=False)
    assert images.shape == (20, 28, 28) and labels.tolist() == [3] * 20
    assert len(data.load("mnist", root=tmp_path).test) == 20


def test_the_variable_goes_before_the_cache(tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(empty_cache / "MNIST" / "raw", label=1)
    assert load_mnist_arrays(download=False)[1][0] == 1
    monkeypatch.setenv("CHAINRULE_DATA", str(tmp_path / "mine"))
    assert load_mnist_arrays(download=False)[1][0] == 1
    write_mnist(tmp_path / "mine" / "mnist", label=2)
    assert load_mnist_arrays(download=False)[1][0] == 2
    write_mnist(tmp_path / "mine" / "fashion-mnist", label=4)
    assert load_mnist_arrays("fashion-mnist", download=False)[1][0] == 4
    shutil.rmtree(tmp_path / "mine" / "fashion-mnist")
    write_mnist(tmp_path / "mine", label=2)  # whose are these? The names are the same
    with pytest.raises(DataError, match="fashion-mnist is not in"):
        load_mnist_arrays("fashion-mnist", download=False)


def write_cifar10(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        (folder / name).write_bytes(b"".join(bytes([label]) + bytes([number]) * 3072 for label in range(10)))
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR10_CLASSES) + "\n\n")


def check_cifar10(root: Path) -> None:
    images, labels, names = load_cifar_arrays(root=root, download=False)
    assert images.shape == (50, 3, 32, 32) and labels.tolist() == [*range(10)] * 5 and names == CIFAR10_CLASSES
    assert images[:, 0, 0, 0].tolist() == [number // 10 for number in range(50)]
    assert (load_cifar_arrays(train=False, root=root, download=False)[0] == 5).all()


@pytest.mark.parametrize("place", ["cifar-10-batches-bin", "cifar10/cifar-10-batches-bin", "cifar10", "."])
def test_cifar10_is_found_as_published(tmp_path: Path, place: str) -> None:
    write_cifar10(tmp_path / "root" / place if place != "." else tmp_path / "root")
    check_cifar10(tmp_path / "root")


def test_cifar10_is_found_as_the_published_archive(tmp_path: Path) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-bin")
    (tmp_path / "root").mkdir()
    with tarfile.open(tmp_path / "root" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    check_cifar10(tmp_path / "root")


def test_cifar10_is_found_as_an_image_folder(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number, name in enumerate(CIFAR10_CLASSES):
            (tmp_path / "cifar10" / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "cifar10" / part / name / "1.png")
    images, labels, names = load_cifar_arrays(root=tmp_path)
    assert images[:, 0, 0, 0].tolist() == labels.tolist() == list(range(10)) and names == CIFAR10_CLASSES


def test_cifar100(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    for name in ("train.bin", "test.bin"):
        (folder / name).write_bytes(b"".join(bytes([label // 5, label]) + bytes(3072) for label in range(100)) * 2)
    (folder / "fine_label_names.txt").write_text("\n".join(f"class {n}" for n in range(100)))
    dataset = datasets.CIFAR100(tmp_path)
    assert len(dataset) == 200 and dataset.targets == [*range(100)] * 2 and dataset.classes[7] == "class 7"
    assert data.load("cifar100", root=tmp_path).classes == 100
    (folder / "fine_label_names.txt").write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"fine_label_names\.txt has 2 names of classes; expected 100"):
        datasets.CIFAR100(tmp_path)


# --- what is wrong ---


def test_bad_mnist_files_are_named(tmp_path: Path) -> None:
    write_mnist(tmp_path, label=10)
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte\.gz: label 0 is 10; expected 0 to 9"):
        load_mnist_arrays(root=tmp_path)
    write_mnist(tmp_path)
    shutil.copy(tmp_path / "train-labels-idx1-ubyte.gz", tmp_path / "train-images-idx3-ubyte.gz")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz holds uint8 of shape \(20,\); expected images"):
        load_mnist_arrays(root=tmp_path)
    write_mnist(tmp_path, count=21)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 1, 5])))
    with pytest.raises(DataError, match=r"shape \(1,\); expected 21 labels"):
        load_mnist_arrays(root=tmp_path)


def test_bad_cifar_archives_are_named(tmp_path: Path) -> None:
    def archive(*images: tuple[str, tuple[int, int]]) -> None:
        for name, size in images:
            path = tmp_path / "content" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size).save(path)
        with tarfile.open(tmp_path / "cifar10-jpeg.tar.xz", "w:xz") as file:
            file.add(tmp_path / "content", ".")
        shutil.rmtree(tmp_path / "content")

    archive(("train/cat/1.jpg", (32, 32)))
    with pytest.raises(DataError, match=r"cifar10-jpeg\.tar\.xz has no images in test/"):
        load_cifar_arrays(root=tmp_path)
    archive(("train/cow/1.jpg", (32, 32)))
    with pytest.raises(DataError, match=r"train/cow/1\.jpg: expected train/<class>/<image>"):
        load_cifar_arrays(root=tmp_path)
    archive(("train/cat/1.jpg", (32, 31)))
    with pytest.raises(DataError, match=r"train/cat/1\.jpg: an image of 32 × 31 pixels; expected 32 × 32"):
        load_cifar_arrays(root=tmp_path)
    assert not list((tmp_path / "cache").rglob("*.npy")), "nothing of it is kept"


def test_what_is_nowhere_is_told_with_its_address(tmp_path: Path) -> None:
    cases = [
        (lambda: load_mnist_arrays(download=False), r"mnist is not in .*cache \(CHAINRULE_DATA may name a folder\)"),
        (lambda: data.load("cifar10", root=tmp_path, download=False), r"cifar-10-batches-bin.* from https://www\.cs"),
        (lambda: data.load("shakespeare", root=tmp_path, download=False), "there is no tinyshakespeare.txt"),
        (lambda: datasets.FashionMNIST(tmp_path), "Allow the download with download=True"),
    ]
    for call, says in cases:
        with pytest.raises(DataError, match=says):
            call()


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive").write_bytes(b"anything")
    (tmp_path / "blocked").write_bytes(b"")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "blocked"))
    with pytest.warns(UserWarning, match="cannot be written .* so archive is decoded every time"):
        found = places.decoded_once(tmp_path / "archive", ["a"], lambda: {"a": np.arange(3), "b": np.arange(2)})
    assert list(found) == ["a"] and found["a"].tolist() == [0, 1, 2]


def test_downloads_go_where_they_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "server")
    asked = []

    def fetch(urls: Any, path: Path, sha256: str) -> Path:
        asked.append((([urls] if isinstance(urls, str) else urls)[0], sha256))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tmp_path / "server" / path.name).read_bytes())
        return path

    for module in (mnist, shakespeare, cifar):
        monkeypatch.setattr(module, "fetch", fetch)
    datasets.MNIST(tmp_path / "root", download=True)
    assert len(datasets.MNIST(tmp_path / "root")) == 20 and len(asked) == 2, "found the second time"
    assert asked[0][0].endswith("/mnist/train-images-idx3-ubyte.gz") and all(len(sum_) == 64 for _, sum_ in asked)
    data.load("fashion-mnist")
    data.load("fashion-mnist", download=False)
    assert len(asked) == 6 and (tmp_path / "cache" / "FashionMNIST" / "raw").is_dir()
    (tmp_path / "server" / "tinyshakespeare.txt").write_text("To be, or not to be. " * 100)
    assert data.load("shakespeare", size=10).classes == 10 and "karpathy" in asked[-1][0]
    write_cifar10(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(tmp_path / "server" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    parts = data.load("cifar10")
    assert len(parts.train) + len(parts.validation) == 50 and asked[-1][0].endswith("kriz/cifar-10-binary.tar.gz")
    check_cifar10(tmp_path / "cache")


def test_digits_need_no_files() -> None:
    assert data.load("digits").train[0][0].shape == (1, 8, 8)
    assert data.load("digits", size=32).train[0][0].shape == (1, 32, 32)
    with pytest.raises(DataError, match="there is no data set 'fashion'; there is .*Did you mean fashion-mnist"):
        data.load("fashion")


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CHAINRULE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert os.name == "nt" or places.cache_folder() == tmp_path / "chainrule"


# --- PyTorch's names ---


def test_signatures_are_those_of_pytorch() -> None:
    common = ["root", "train", "transform", "target_transform", "download"]
    for kind in (datasets.MNIST, datasets.FashionMNIST, datasets.CIFAR10, datasets.CIFAR100):
        parameters = inspect.signature(kind).parameters
        assert list(parameters) == common
        assert [p.default for p in parameters.values()] == [inspect.Parameter.empty, True, None, None, False]
    folder = inspect.signature(datasets.ImageFolder).parameters
    assert list(folder) == ["root", "transform", "target_transform", "loader", "is_valid_file", "allow_empty"]
    fake = {name: p.default for name, p in inspect.signature(datasets.FakeData).parameters.items()}
    assert fake == {
        "size": 1000, "image_size": (3, 224, 224), "num_classes": 10, "transform": None, "target_transform": None,
        "random_offset": 0,
    }  # fmt: skip


def test_mnist_as_pytorch_has_it(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    dataset = datasets.MNIST(tmp_path, transform=np.asarray, target_transform=str)
    assert dataset.train_data is dataset.test_data is dataset.data and dataset.train_labels is dataset.targets
    assert dataset.data.shape == (20, 28, 28) and dataset.data.dtype is chainrule.uint8
    assert dataset.targets.dtype is chainrule.int64 and dataset.class_to_idx["7 - seven"] == 7
    image, label = dataset[4]
    assert image.shape == (28, 28) and label == "3" and len(dataset) == 20
    plain, number = datasets.MNIST(tmp_path, train=False)[0]
    assert plain.mode == "L" and plain.size == (28, 28) and number == 3 and type(number) is int
    assert repr(datasets.MNIST(tmp_path, train=False, target_transform=str)).splitlines() == [
        "Dataset MNIST", "    Number of datapoints: 20", f"    Root location: {tmp_path}", "    Split: Test",
        "    Target transform: <class 'str'>",
    ]  # fmt: skip


def test_image_folder_as_pytorch_has_it(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.new("RGB", (6, 4), (number, 0, 0)).save(tmp_path / name / f"{number}.png")
    folder = datasets.ImageFolder(tmp_path)
    assert folder.classes == ["ant", "bee"] and folder.class_to_idx == {"ant": 0, "bee": 1}
    assert folder.targets == [0, 0, 1, 1] and folder.imgs == folder.samples
    assert folder.samples[3] == (str(tmp_path / "bee" / "1.png"), 1)
    image, label = folder[3]
    assert image.mode == "RGB" and image.size == (6, 4) and image.getpixel((0, 0)) == (1, 0, 0) and label == 1
    chosen = datasets.ImageFolder(tmp_path, is_valid_file=lambda path: path.endswith("0.png"), loader=lambda path: path)
    assert [Path(path).name for path, _ in (chosen[0], chosen[1])] == ["0.png", "0.png"] and len(chosen) == 2
    (tmp_path / "cow").mkdir()
    with pytest.raises(DataError, match="cow has no images in it"):
        datasets.ImageFolder(tmp_path)
    assert datasets.ImageFolder(tmp_path, allow_empty=True).classes == ["ant", "bee", "cow"]
    (tmp_path / "ant" / "0.png").write_bytes(b"\x89PNG damaged")
    with pytest.raises(DataError, match=r"ant/0\.png"):
        datasets.ImageFolder(tmp_path, allow_empty=True)[0]


def test_fake_data_is_the_same_each_time() -> None:
    fake = datasets.FakeData(10, (1, 5, 6), 3)
    assert np.array_equal(np.asarray(fake[2][0]), np.asarray(fake[2][0])) and fake[2][1] == fake[2][1]
    assert fake[0][0].mode == "L" and {fake[i][1] for i in range(10)} <= {0, 1, 2}
    moved = datasets.FakeData(10, (1, 5, 6), 3, random_offset=2)
    assert np.array_equal(np.asarray(moved[0][0]), np.asarray(fake[2][0]))
    with pytest.raises(IndexError):
        fake[10]
    with pytest.raises(ValueError, match="image_size"):
        datasets.FakeData(image_size=(2, 3, 4))
    with pytest.raises(ValueError, match="not both"):
        datasets.VisionDataset("root", transforms=lambda x, y: (x, y), transform=str)
