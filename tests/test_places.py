"""PyTorch's modules import here, or the import says what to use instead."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule
from chainrule import nn


@pytest.mark.parametrize(
    "line",
    [
        "from chainrule.nn.modules.batchnorm import _BatchNorm, BatchNorm2d, SyncBatchNorm",
        "from chainrule.nn.modules.utils import _pair, _single, _triple, _ntuple",
        "from chainrule.nn.modules.conv import _ConvNd, Conv2d",
        "from chainrule.nn.modules.loss import _Loss, _WeightedLoss",
        "from chainrule.nn.modules.module import Module",
        "from chainrule.nn.modules import Linear, Module, transformer",
        "import chainrule.nn.modules.activation as a; a.MultiheadAttention",
        "from chainrule.utils.data.dataset import Dataset, Subset, random_split",
        "from chainrule.utils.data.dataloader import DataLoader, default_collate",
        "from chainrule.utils.data.sampler import Sampler, BatchSampler, RandomSampler",
        "from chainrule.cuda.amp import GradScaler, autocast",
        "from chainrule.amp.autocast_mode import autocast",
        "from chainrule.autograd.graph import saved_tensors_hooks, save_on_cpu",
        "from chainrule.autograd.grad_mode import no_grad",
        "from chainrule.distributions import Normal, kl_divergence, constraints, transforms, kl, utils",
        "import chainrule.distributions as dist; dist.kl.kl_divergence, dist.constraints.positive, dist.utils.broadcast_all",
        "from chainrule.distributions.normal import Normal; from chainrule.distributions.studentT import StudentT",
        "from chainrule.distributions.transforms import TanhTransform; from chainrule.distributions.kl import register_kl",
        "from chainrule.autograd.gradcheck import GradcheckError, gradcheck; assert 'function' in str(gradcheck)",
        "import chainrule.autograd.gradcheck as function; assert function is chainrule.autograd.gradcheck",
        "from chainrule.utils.data._utils.collate import default_collate",
        "from chainrule.compiler import is_compiling; assert chainrule.compiler.is_compiling() is False",
        "from chainrule.hub import HASH_REGEX; assert HASH_REGEX.search('resnet18-5c106cde.pth').group(1) == '5c106cde'",
        "from chainrule.vision.ops import nms; from chainrule.vision.ops.boxes import box_area, box_iou",
        "from chainrule.utils.benchmark import Timer",
        "from chainrule.utils.model_zoo import load_url",
        "from chainrule.utils.hooks import RemovableHandle",
        "from chainrule.nn.utils import prune; from chainrule.nn.utils.prune import l1_unstructured",
        "from chainrule.nn.utils.stateless import functional_call",
        "import chainrule.distributed.nn.functional as f; from chainrule.distributed import nn; assert f.all_gather is nn.all_gather",
        "from chainrule.nn.attention import SDPBackend, sdpa_kernel",
        "from chainrule.vision.io import read_image, ImageReadMode",
        "from chainrule.optim.adamw import AdamW",
        "import chainrule.hub, chainrule.special, chainrule.version, chainrule.functional",
        "from chainrule import channels_last, strided, memory_format",
    ],
)
def test_the_import_statement_works(line: str) -> None:
    exec(line, {"chainrule": chainrule})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import chainrule.fft", "there are no such numbers; NumPy"),
        ("from chainrule import fft", "NumPy's fft"),
        ("from chainrule.fft import rfft", "NumPy's fft"),
        ("from chainrule.fx import symbolic_trace", "chainrule.compile"),
        ("from chainrule.nn import NLLLoss2d", "an old name"),
        ("from chainrule.nn.quantized import Linear", "no quantised tensors"),
        ("import chainrule.autograd.forward_ad as fwAD", "func.jvp"),
        ("from chainrule.autograd import forward_ad", "func.jvp"),
        ("from chainrule.utils import cpp_extension", "compile makes native code"),
        ("import chainrule.backends.xnnpack", "all there is"),
        ("from chainrule.optim import SparseAdam", "dense"),
        ("import chainrule.jit.frontend", "chainrule.compile"),
        ("import chainrule.multiprocessing.pool", "Python's"),
        ("from chainrule.onnx import symbolic_helper", "onnx.export writes"),
    ],
)
def test_the_import_statement_says_what_the_attribute_says(line: str, says: str) -> None:
    with pytest.raises(chainrule.AbsentNameError, match=says) as caught:
        exec(line, {})
    assert isinstance(caught.value, ImportError) and str(caught.value.name).startswith("chainrule.")
    area, _, name = str(caught.value.name).rpartition(".")
    with pytest.raises(AttributeError) as attribute:
        getattr(importlib.import_module(area), name)
    assert str(attribute.value) == str(caught.value)


def test_names_that_nobody_knows_are_python_s_affair() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'chainrule.nosuch'"):
        importlib.import_module("chainrule.nosuch")
    with pytest.raises(ImportError, match="cannot import name"):
        exec("from chainrule import nosuch", {})
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("fft")


def test_attributes_without_an_import_of_their_own() -> None:
    # in a process of its own: an import anywhere else would set them
    code = """if True:
        import chainrule
        assert chainrule.nn.modules.batchnorm._BatchNorm is chainrule.nn.BatchNorm1d.__mro__[1]
        assert chainrule.utils.data.dataset.Dataset is chainrule.utils.data.Dataset
        assert chainrule.nn.modules.Linear is chainrule.nn.Linear
        chainrule.backends.cudnn.benchmark = True
        assert not chainrule.backends.mps.is_available() and not chainrule.compiler.is_compiling()
        assert chainrule.cuda.random.manual_seed_all is chainrule.cuda.manual_seed_all
        assert chainrule.version.cuda is None and chainrule.version.__version__ == chainrule.__version__
        assert not hasattr(chainrule.nn.modules, "nosuch") and "Conv2d" in dir(chainrule.nn.modules.conv)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_bases_of_layers_are_bases() -> None:
    from chainrule.nn.modules import batchnorm, conv, dropout, loss, pooling

    assert isinstance(nn.Conv1d(1, 1, 1), conv._ConvNd) and isinstance(
        nn.ConvTranspose2d(1, 1, 1), conv._ConvTransposeNd
    )
    assert isinstance(nn.BatchNorm3d(1), batchnorm._BatchNorm) and not isinstance(
        nn.InstanceNorm1d(1), batchnorm._BatchNorm
    )
    assert isinstance(nn.Dropout2d(), dropout._DropoutNd) and isinstance(nn.MaxPool1d(2), pooling._MaxPoolNd)
    assert isinstance(nn.CrossEntropyLoss(), loss._WeightedLoss) and not isinstance(nn.MSELoss(), loss._WeightedLoss)

    class Focal(loss._WeightedLoss):
        def __init__(
            self, weight: object = None, size_average: object = None, reduce: object = None, reduction: str = "mean"
        ):
            super().__init__(weight, size_average, reduce, reduction)

    made = Focal(chainrule.ones(2), size_average=False)
    assert made.reduction == "sum" and list(made.state_dict()) == ["weight"]


def test_types_of_a_gpu_s_tensors_are_nobody_s() -> None:
    for name in ("FloatTensor", "LongTensor", "ByteTensor"):
        kind = getattr(chainrule.cuda, name)
        assert not isinstance(chainrule.zeros(1), kind)
        with pytest.raises(chainrule.DeviceError, match='device="cuda"'):
            kind([1, 2])


def test_no_import_takes_a_name_away_from_the_module_above() -> None:
    """Python sets a module's name in the one above it: `import chainrule.cuda.random` must not replace cuda's own."""
    code = """if True:
        import importlib, sys, types
        import chainrule
        from chainrule.places import _ELSEWHERE
        for place in _ELSEWHERE:
            area, _, name = place.rpartition(".")
            above = importlib.import_module(f"chainrule.{area}".rstrip("."))
            before = vars(above).get(name)
            now = importlib.import_module(f"chainrule.{place}")
            if isinstance(before, types.ModuleType) and before is not now:
                for key in getattr(before, "__all__", None) or [k for k in vars(before) if not k.startswith("_")]:
                    assert getattr(now, key) is getattr(before, key), (place, key)
        assert chainrule.cuda.get_rng_state().shape == chainrule.get_rng_state().shape
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.peer
def test_every_public_module_of_pytorch_imports_or_says_why_not() -> None:
    torch = pytest.importorskip("torch")
    root = Path(torch.__path__[0])
    silent, seen = [], 0
    for file in sorted(root.rglob("*.py")):
        parts = [part for part in file.relative_to(root).with_suffix("").parts if part != "__init__"]
        tests_and_tools = parts and parts[0] in ("testing", "bin", "include", "share", "lib")
        if not parts or len(parts) > 3 or any(part.startswith("_") for part in parts) or tests_and_tools:
            continue
        seen += 1
        name = f"chainrule.{'.'.join(parts)}"
        try:
            importlib.import_module(name)
        except chainrule.AbsentNameError:
            pass
        except ImportError as error:
            if "tensorboardX" not in str(error):
                silent.append(name)
    assert seen > 300 and not silent, (
        "neither here, nor elsewhere (places.py), nor absent for a reason (absent_names.py)"
    )
