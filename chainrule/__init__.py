"""chainrule: deep learning from the chain rule up.

The names are PyTorch's. Tensors and operations are here; layers in `chainrule.nn`, optimisers in `chainrule.optim`,
derivatives of functions in `chainrule.autograd`, data in `chainrule.data`, architectures in `chainrule.models`.
"""

import importlib
from math import e, inf, nan, pi
from typing import TYPE_CHECKING

from chainrule.tensor import Parameter, Tensor  # first: the function `tensor` below takes the module's name

# isort: split
from chainrule.autodiff.block import block
from chainrule.autodiff.mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from chainrule.cell import Size
from chainrule.devices import Device as device
from chainrule.devices import get_default_device, set_default_device
from chainrule.dtypes import (
    DType,
    bfloat16,
    bool_,
    can_cast,
    double,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
)
from chainrule.dtypes import DType as dtype
from chainrule.dtypes import FloatLimits as finfo
from chainrule.dtypes import IntegerLimits as iinfo

# Last, because they hide Python's own names.
from chainrule.dtypes import float32 as float
from chainrule.dtypes import int32 as int
from chainrule.errors import (
    AbsentNameError,
    ChainruleError,
    CheckpointError,
    DataError,
    DeviceError,
    DivergedError,
    DTypeError,
    EvaluationWarning,
    GradientError,
    IndexRangeError,
    SetUpError,
    ShapeError,
    TraceError,
)
from chainrule.functions.activation import log_softmax, relu, sigmoid, softmax
from chainrule.functions.arithmetic import (
    add,
    addcdiv,
    addcmul,
    atan2,
    clamp,
    clamp_max,
    clamp_min,
    clip,
    copysign,
    div,
    divide,
    float_power,
    floor_divide,
    fmax,
    fmin,
    fmod,
    heaviside,
    hypot,
    ldexp,
    lerp,
    logaddexp,
    logaddexp2,
    maximum,
    minimum,
    mul,
    multiply,
    pow,
    remainder,
    rsub,
    sub,
    subtract,
    true_divide,
    xlogy,
)
from chainrule.functions.contraction import addmm, bmm, dot, einsum, inner, matmul, mm, mv, outer, tensordot
from chainrule.functions.counting import argwhere, bincount, nonzero, one_hot, unique
from chainrule.functions.creation import (
    arange,
    as_tensor,
    asarray,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
    tensor,
    zeros,
    zeros_like,
)
from chainrule.functions.diagonals import diag, diag_embed, diagonal, trace, tril, tril_indices, triu, triu_indices
from chainrule.functions.elementwise import (
    abs,
    absolute,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    ceil,
    cos,
    cosh,
    deg2rad,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    frac,
    log,
    log1p,
    log2,
    log10,
    logit,
    neg,
    negative,
    positive,
    rad2deg,
    reciprocal,
    round,
    rsqrt,
    sign,
    signbit,
    sin,
    sinc,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
)
from chainrule.functions.extremes import amax, amin, aminmax, argmax, argmin, max, min
from chainrule.functions.gathering import (
    gather,
    index_add,
    index_copy,
    index_fill,
    index_select,
    scatter,
    scatter_add,
    take,
    take_along_dim,
)
from chainrule.functions.indexing import index_put, masked_select
from chainrule.functions.logic import (
    allclose,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    eq,
    equal,
    ge,
    gt,
    isclose,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    masked_fill,
    nan_to_num,
    ne,
    where,
)
from chainrule.functions.norms import norm
from chainrule.functions.pieces import (
    cat,
    chunk,
    concat,
    concatenate,
    hstack,
    narrow,
    roll,
    select,
    split,
    stack,
    unbind,
    vstack,
)
from chainrule.functions.promotion import is_floating_point, is_tensor, numel, result_type
from chainrule.functions.reduction import (
    all,
    any,
    count_nonzero,
    logsumexp,
    mean,
    nanmean,
    nansum,
    prod,
    std,
    std_mean,
    sum,
    var,
    var_mean,
)
from chainrule.functions.running import cummax, cummin, cumprod, cumsum, diff
from chainrule.functions.shape import (
    broadcast_shapes,
    broadcast_tensors,
    broadcast_to,
    clone,
    detach,
    flatten,
    flip,
    fliplr,
    flipud,
    meshgrid,
    moveaxis,
    movedim,
    permute,
    ravel,
    repeat_interleave,
    reshape,
    squeeze,
    swapaxes,
    swapdims,
    t,
    tile,
    transpose,
    unflatten,
    unsqueeze,
)
from chainrule.functions.sorting import argsort, median, quantile, sort, topk
from chainrule.layouts import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)

from chainrule.dtypes import bool_ as bool  # isort: skip

from chainrule import places  # isort: skip
from chainrule.functions.words import public, teach  # isort: skip
from chainrule.version import __version__  # isort: skip

places.install()
teach(globals())
newaxis = None

if TYPE_CHECKING:
    from chainrule import (
        accelerator,
        amp,
        autograd,
        backends,
        cuda,
        data,
        distributed,
        func,
        jit,
        linalg,
        models,
        mps,
        multiprocessing,
        nn,
        onnx,
        optim,
        sparse,
        train,
        transfer,
        utils,
        vision,
        xpu,
    )
    from chainrule.amp import GradScaler, autocast
    from chainrule.compiler.function import compile
    from chainrule.compiler.run.pool import get_num_threads, set_num_threads
    from chainrule.exactness import (
        are_deterministic_algorithms_enabled,
        get_float32_matmul_precision,
        set_float32_matmul_precision,
        use_deterministic_algorithms,
    )
    from chainrule.functions.changing import *  # noqa: F403 - a list, as below
    from chainrule.functions.control import scan
    from chainrule.functions.gamma import digamma, erfinv, lgamma, polygamma
    from chainrule.functions.joining import (
        atleast_1d,
        atleast_2d,
        atleast_3d,
        block_diag,
        cartesian_prod,
        column_stack,
        combinations,
        diagflat,
        dsplit,
        dstack,
        hsplit,
        rot90,
        tensor_split,
        vsplit,
    )
    from chainrule.functions.linalg import (
        chain_matmul,
        cholesky,
        cross,
        det,
        inverse,
        logdet,
        matrix_exp,
        matrix_power,
        slogdet,
    )
    from chainrule.functions.older_names import cholesky_inverse, cholesky_solve, pinverse, qr, range, svd
    from chainrule.functions.products import (
        addbmm,
        addmv,
        addr,
        baddbmm,
        kron,
        vander,
    )
    from chainrule.functions.scattering import (
        diagonal_scatter,
        masked_scatter,
        scatter_reduce,
        select_scatter,
        slice_scatter,
    )
    from chainrule.functions.searching import (
        bucketize,
        histc,
        histogram,
        isin,
        kthvalue,
        mode,
        msort,
        nanmedian,
        searchsorted,
        unique_consecutive,
        unravel_index,
    )
    from chainrule.functions.second_names import (
        adjoint,
        arccos,
        arccosh,
        arcsin,
        arcsinh,
        arctan,
        arctan2,
        arctanh,
        conj,
        conj_physical,
        fill,
        fix,
        ger,
        greater,
        greater_equal,
        is_complex,
        is_nonzero,
        is_same_size,
        is_signed,
        isreal,
        less,
        less_equal,
        not_equal,
        real,
        resolve_conj,
        resolve_neg,
        row_stack,
        sgn,
        vdot,
    )
    from chainrule.functions.statistics import (
        cdist,
        corrcoef,
        cov,
        cumulative_trapezoid,
        dist,
        logcumsumexp,
        renorm,
        trapezoid,
        trapz,
    )
    from chainrule.functions.typed_constructors import (
        BFloat16Tensor,
        BoolTensor,
        ByteTensor,
        CharTensor,
        DoubleTensor,
        FloatTensor,
        HalfTensor,
        IntTensor,
        LongTensor,
        ShortTensor,
    )
    from chainrule.functions.whole_numbers import bitwise_left_shift, bitwise_right_shift, gcd, lcm
    from chainrule.printing import set_printoptions
    from chainrule.random import (
        Generator,
        bernoulli,
        default_generator,
        get_rng_state,
        initial_seed,
        manual_seed,
        multinomial,
        normal,
        rand,
        rand_like,
        randint,
        randint_like,
        randn,
        randn_like,
        randperm,
        seed,
        set_rng_state,
    )
    from chainrule.serialization import load, save
    from chainrule.sparse import sparse_coo, sparse_coo_tensor, sparse_csr, sparse_csr_tensor
    from chainrule.sparse.products import dsmm, spmm

#: Parts, and names from parts, that are loaded when they are first used, so that starting stays quick.
_PARTS = (
    "accelerator", "amp", "autograd", "backends", "cuda", "data", "distributed", "explain", "func", "hub", "jit",
    "linalg", "metrics", "models", "mps", "multiprocessing", "nn", "onnx", "optim", "printing", "rl", "serialization",
    "sparse", "special", "train", "transfer", "tune", "utils", "version", "vision", "xpu",
)  # fmt: skip
_LATER = {
    "chainrule.amp": ("GradScaler", "autocast"),
    "chainrule.compiler.run.pool": ("get_num_threads", "set_num_threads"),
    "chainrule.compiler.function": ("compile",),
    "chainrule.exactness": [
        "are_deterministic_algorithms_enabled",
        "get_float32_matmul_precision",
        "set_float32_matmul_precision",
        "use_deterministic_algorithms",
    ],
    "chainrule.functions.changing": """
        abs_ acos_ acosh_ addmv_ arccos_ arccosh_ arcsin_ arcsinh_ arctan_ arctanh_ asin_ asinh_ atan_
        atanh_ ceil_ clamp_ clamp_max_ clamp_min_ clip_ cos_ cosh_ deg2rad_ detach_ erf_ erfc_ exp2_ exp_
        expm1_ fill_ fix_ floor_ frac_ gcd_ index_put_ lcm_ ldexp_ log10_ log1p_ log2_ log_ logit_
        nan_to_num_ neg_ negative_ rad2deg_ reciprocal_ relu_ resize_as_ round_ rsqrt_ sigmoid_ sin_ sinc_
        sinh_ sqrt_ square_ tan_ tanh_ trunc_ xlogy_ zero_
    """.split(),  # noqa: SIM905 - sixty names in six lines
    "chainrule.functions.control": ("scan",),
    "chainrule.func.mapping": ("vmap",),
    "chainrule.functions.joining": [
        "atleast_1d",
        "atleast_2d",
        "atleast_3d",
        "block_diag",
        "cartesian_prod",
        "column_stack",
        "combinations",
        "diagflat",
        "dsplit",
        "dstack",
        "hsplit",
        "rot90",
        "tensor_split",
        "vsplit",
    ],
    "chainrule.functions.linalg": [
        "chain_matmul",
        "cholesky",
        "cross",
        "det",
        "inverse",
        "logdet",
        "matrix_exp",
        "matrix_power",
        "slogdet",
    ],
    "chainrule.functions.gamma": ("digamma", "erfinv", "lgamma", "polygamma"),
    "chainrule.functions.older_names": ["cholesky_inverse", "cholesky_solve", "pinverse", "qr", "range", "svd"],
    "chainrule.functions.whole_numbers": ("bitwise_left_shift", "bitwise_right_shift", "gcd", "lcm"),
    "chainrule.functions.products": ["addbmm", "addmv", "addr", "baddbmm", "kron", "vander"],
    "chainrule.functions.scattering": [
        "diagonal_scatter",
        "masked_scatter",
        "scatter_reduce",
        "select_scatter",
        "slice_scatter",
    ],
    "chainrule.functions.searching": [
        "bucketize",
        "histc",
        "histogram",
        "isin",
        "kthvalue",
        "mode",
        "msort",
        "nanmedian",
        "searchsorted",
        "unique_consecutive",
        "unravel_index",
    ],
    "chainrule.functions.second_names": [
        "adjoint",
        "arccos",
        "arccosh",
        "arcsin",
        "arcsinh",
        "arctan",
        "arctan2",
        "arctanh",
        "conj",
        "conj_physical",
        "fill",
        "fix",
        "ger",
        "greater",
        "greater_equal",
        "is_complex",
        "is_nonzero",
        "is_same_size",
        "is_signed",
        "isreal",
        "less",
        "less_equal",
        "not_equal",
        "real",
        "resolve_conj",
        "resolve_neg",
        "row_stack",
        "sgn",
        "vdot",
    ],
    "chainrule.functions.statistics": [
        "cdist",
        "corrcoef",
        "cov",
        "cumulative_trapezoid",
        "dist",
        "logcumsumexp",
        "renorm",
        "trapezoid",
        "trapz",
    ],
    "chainrule.functions.typed_constructors": [
        "BFloat16Tensor",
        "BoolTensor",
        "ByteTensor",
        "CharTensor",
        "DoubleTensor",
        "FloatTensor",
        "HalfTensor",
        "IntTensor",
        "LongTensor",
        "ShortTensor",
    ],
    "chainrule.printing": ("set_printoptions",),
    "chainrule.random": (
        "Generator",
        "bernoulli",
        "default_generator",
        "get_rng_state",
        "initial_seed",
        "manual_seed",
        "multinomial",
        "normal",
        "rand",
        "rand_like",
        "randint",
        "randint_like",
        "randn",
        "randn_like",
        "randperm",
        "seed",
        "set_rng_state",
    ),
    "chainrule.serialization": ("load", "save"),
    "chainrule.sparse": ("sparse_coo", "sparse_coo_tensor", "sparse_csr", "sparse_csr_tensor"),
    "chainrule.sparse.products": ("dsmm", "spmm"),
}


def __getattr__(name: str) -> object:
    if name in _PARTS:
        return importlib.import_module(f"chainrule.{name}")
    for module, names in _LATER.items():
        if name in names:
            found = globals()[name] = public(getattr(importlib.import_module(module), name))
            return found
    place = places.find("", name)
    if place is not None:
        return place
    from chainrule.absent_names import refuse

    refuse("", name, __dir__())


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS, *(there for names in _LATER.values() for there in names)})
