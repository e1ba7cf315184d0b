"""chainrule: deep learning from the chain rule up.

The names are PyTorch's. Tensors and operations are here; layers in `chainrule.nn`, optimisers in `chainrule.optim`,
derivatives of functions in `chainrule.autograd`, data in `chainrule.data`, architectures in `chainrule.models`.
"""

# Every public name stands here once, as `name as name`: so type checkers know that it is meant for others.
from math import e as e, inf as inf, nan as nan, pi as pi
from typing import TYPE_CHECKING, Any as _Any

from chainrule.tensor import Parameter as Parameter, Tensor as Tensor  # first: `tensor` below takes the module's name

# isort: split
from chainrule.autodiff.block import Block as _Block, block as block
from chainrule.autodiff.composite import Composite as _Composite
from chainrule.autodiff.mode import (
    enable_grad as enable_grad, inference_mode as inference_mode, is_grad_enabled as is_grad_enabled,
    no_grad as no_grad, set_grad_enabled as set_grad_enabled,
)  # fmt: skip
from chainrule.cell import Size as Size
from chainrule.devices import (
    Device as device, get_default_device as get_default_device, set_default_device as set_default_device,
)  # fmt: skip
from chainrule.dtypes import (
    DType as DType, bfloat16 as bfloat16, bool_ as bool_, can_cast as can_cast, cdouble as cdouble, cfloat as cfloat,
    chalf as chalf, complex32 as complex32, complex64 as complex64, complex128 as complex128, double as double,
    float16 as float16, float32 as float32, float64 as float64, get_default_dtype as get_default_dtype, half as half,
    int8 as int8, int16 as int16, int32 as int32, int64 as int64, long as long, promote_types as promote_types,
    set_default_dtype as set_default_dtype, short as short, uint8 as uint8, uint16 as uint16, uint32 as uint32,
    uint64 as uint64, DType as dtype, FloatLimits as finfo, IntegerLimits as iinfo,
)  # fmt: skip
from chainrule.errors import (
    AbsentNameError as AbsentNameError, ChainruleError as ChainruleError, CheckpointError as CheckpointError,
    DataError as DataError, DeviceError as DeviceError, DivergedError as DivergedError, DTypeError as DTypeError,
    EvaluationWarning as EvaluationWarning, GradientError as GradientError, IndexRangeError as IndexRangeError,
    NoForwardError as NoForwardError, SetUpError as SetUpError, ShapeError as ShapeError, TraceError as TraceError,
)  # fmt: skip
from chainrule.functions.activation import (
    log_softmax as log_softmax, relu as relu, sigmoid as sigmoid, softmax as softmax,
)  # fmt: skip
from chainrule.functions.arithmetic import (
    add as add, addcdiv as addcdiv, addcmul as addcmul, atan2 as atan2, clamp as clamp, clamp_max as clamp_max,
    clamp_min as clamp_min, clip as clip, copysign as copysign, div as div, divide as divide,
    float_power as float_power, floor_divide as floor_divide, fmax as fmax, fmin as fmin, fmod as fmod,
    heaviside as heaviside, hypot as hypot, lerp as lerp, logaddexp as logaddexp,
    logaddexp2 as logaddexp2, maximum as maximum, minimum as minimum, mul as mul, multiply as multiply, pow as pow,
    remainder as remainder, rsub as rsub, sub as sub, subtract as subtract, true_divide as true_divide,
    xlogy as xlogy,
)  # fmt: skip
from chainrule.functions.contraction import (
    addmm as addmm, bmm as bmm, dot as dot, einsum as einsum, inner as inner, matmul as matmul, mm as mm, mv as mv,
    outer as outer, tensordot as tensordot,
)  # fmt: skip
from chainrule.functions.counting import (
    argwhere as argwhere, bincount as bincount, nonzero as nonzero, one_hot as one_hot, unique as unique,
)  # fmt: skip
from chainrule.functions.creation import (
    arange as arange, as_tensor as as_tensor, asarray as asarray, empty as empty, empty_like as empty_like,
    eye as eye, from_dlpack as from_dlpack, from_numpy as from_numpy, frombuffer as frombuffer, full as full,
    full_like as full_like, linspace as linspace,
    logspace as logspace, ones as ones, ones_like as ones_like, scalar_tensor as scalar_tensor, tensor as tensor,
    zeros as zeros, zeros_like as zeros_like,
)  # fmt: skip
from chainrule.functions.diagonals import (
    diag as diag, diag_embed as diag_embed, diagonal as diagonal, trace as trace, tril as tril,
    tril_indices as tril_indices, triu as triu, triu_indices as triu_indices,
)  # fmt: skip
from chainrule.functions.elementwise import (
    abs as abs, absolute as absolute, acos as acos, asin as asin, atan as atan,
    ceil as ceil, cos as cos, deg2rad as deg2rad, erf as erf, erfc as erfc, exp as exp,
    exp2 as exp2, expm1 as expm1, floor as floor, frac as frac, log as log, log1p as log1p, log2 as log2,
    log10 as log10, logit as logit, neg as neg, negative as negative, positive as positive, rad2deg as rad2deg,
    reciprocal as reciprocal, round as round, rsqrt as rsqrt, sign as sign, signbit as signbit, sin as sin,
    sinc as sinc, sqrt as sqrt, square as square, tan as tan, tanh as tanh, trunc as trunc,
)  # fmt: skip
from chainrule.functions.extremes import (
    amax as amax, amin as amin, aminmax as aminmax, argmax as argmax, argmin as argmin, max as max, min as min,
)  # fmt: skip
from chainrule.functions.floating_point import frexp as frexp, ldexp as ldexp, nextafter as nextafter
from chainrule.functions.gathering import (
    gather as gather, index_add as index_add, index_copy as index_copy, index_fill as index_fill,
    index_select as index_select, scatter_add as scatter_add, take as take,
    take_along_dim as take_along_dim,
)  # fmt: skip
from chainrule.functions.hyperbolic import (
    acosh as acosh, asinh as asinh, atanh as atanh, cosh as cosh, sinh as sinh,
)  # fmt: skip
from chainrule.functions.indexing import index_put as index_put, masked_select as masked_select
from chainrule.functions.assertions import assert_nonzero as _assert_async, assert_true as _assert
from chainrule.functions.joining import (
    atleast_1d as atleast_1d, atleast_2d as atleast_2d, atleast_3d as atleast_3d, block_diag as block_diag,
    cartesian_prod as cartesian_prod, column_stack as column_stack, combinations as combinations,
    diagflat as diagflat, dsplit as dsplit, dstack as dstack, hsplit as hsplit, rot90 as rot90,
    tensor_split as tensor_split, vsplit as vsplit,
)  # fmt: skip
from chainrule.functions.logic import (
    allclose as allclose, bitwise_and as bitwise_and, bitwise_not as bitwise_not, bitwise_or as bitwise_or,
    bitwise_xor as bitwise_xor, eq as eq, equal as equal, ge as ge, gt as gt, isclose as isclose,
    isfinite as isfinite, isinf as isinf, isnan as isnan, isneginf as isneginf, isposinf as isposinf, le as le,
    logical_and as logical_and, logical_not as logical_not, logical_or as logical_or, logical_xor as logical_xor,
    lt as lt, masked_fill as masked_fill, nan_to_num as nan_to_num, ne as ne, where as where,
)  # fmt: skip
from chainrule.functions.norms import norm as norm
from chainrule.functions.pieces import (
    cat as cat, chunk as chunk, concat as concat, concatenate as concatenate, hstack as hstack, narrow as narrow,
    roll as roll, select as select, split as split, stack as stack, unbind as unbind, vstack as vstack,
)  # fmt: skip
from chainrule.functions.products import (
    addbmm as addbmm, addmv as addmv, addr as addr, baddbmm as baddbmm, chain_matmul as chain_matmul, kron as kron,
    vander as vander,
)  # fmt: skip
from chainrule.functions.promotion import (
    is_floating_point as is_floating_point, is_tensor as is_tensor, numel as numel, result_type as result_type,
)  # fmt: skip
from chainrule.functions.reduction import (
    all as all, any as any, count_nonzero as count_nonzero, logsumexp as logsumexp, mean as mean, nanmean as nanmean,
    nansum as nansum, prod as prod, std as std, std_mean as std_mean, sum as sum, var as var, var_mean as var_mean,
)  # fmt: skip
from chainrule.functions.running import (
    cummax as cummax, cummin as cummin, cumprod as cumprod, cumsum as cumsum, diff as diff,
)  # fmt: skip
from chainrule.functions.scattering import (
    diagonal_scatter as diagonal_scatter, masked_scatter as masked_scatter, scatter as scatter,
    scatter_reduce as scatter_reduce, select_scatter as select_scatter, slice_scatter as slice_scatter,
)  # fmt: skip
from chainrule.functions.searching import (
    bucketize as bucketize, histc as histc, histogram as histogram, isin as isin, kthvalue as kthvalue, mode as mode,
    msort as msort, nanmedian as nanmedian, searchsorted as searchsorted, unique_consecutive as unique_consecutive,
    unravel_index as unravel_index,
)  # fmt: skip
from chainrule.functions.second_names import (
    adjoint as adjoint, arccos as arccos, arccosh as arccosh, arcsin as arcsin, arcsinh as arcsinh, arctan as arctan,
    arctan2 as arctan2, arctanh as arctanh, conj as conj, conj_physical as conj_physical, fill as fill, fix as fix,
    ger as ger, greater as greater, greater_equal as greater_equal, is_complex as is_complex,
    is_nonzero as is_nonzero, is_same_size as is_same_size, is_signed as is_signed, isreal as isreal, less as less,
    less_equal as less_equal, not_equal as not_equal, real as real, resolve_conj as resolve_conj,
    resolve_neg as resolve_neg, row_stack as row_stack, sgn as sgn, split_with_sizes as split_with_sizes,
    vdot as vdot,
)  # fmt: skip
from chainrule.functions.shape import (
    broadcast_shapes as broadcast_shapes, broadcast_tensors as broadcast_tensors, broadcast_to as broadcast_to,
    clone as clone, detach as detach, flatten as flatten, flip as flip, fliplr as fliplr, flipud as flipud,
    meshgrid as meshgrid, moveaxis as moveaxis, movedim as movedim, permute as permute, ravel as ravel,
    repeat_interleave as repeat_interleave, reshape as reshape, squeeze as squeeze, swapaxes as swapaxes,
    swapdims as swapdims, t as t, tile as tile, transpose as transpose, unflatten as unflatten,
    unsqueeze as unsqueeze,
)  # fmt: skip
from chainrule.functions.sorting import (
    argsort as argsort, median as median, quantile as quantile, sort as sort, topk as topk,
)  # fmt: skip
from chainrule.functions.statistics import (
    cdist as cdist, corrcoef as corrcoef, cov as cov, cumulative_trapezoid as cumulative_trapezoid, dist as dist,
    logcumsumexp as logcumsumexp, renorm as renorm, trapezoid as trapezoid, trapz as trapz,
)  # fmt: skip
from chainrule.functions.strides import as_strided as as_strided, as_strided_scatter as as_strided_scatter
from chainrule.functions.whole_numbers import (
    bitwise_left_shift as bitwise_left_shift, bitwise_right_shift as bitwise_right_shift, gcd as gcd, lcm as lcm,
)  # fmt: skip
from chainrule.layouts import (
    channels_last as channels_last, channels_last_3d as channels_last_3d, contiguous_format as contiguous_format,
    layout as layout, memory_format as memory_format, preserve_format as preserve_format, strided as strided,
)  # fmt: skip

# Last, because they hide Python's own names.
from chainrule.dtypes import float32 as float, int32 as int, bool_ as bool

from chainrule import places
from chainrule.functions.words import public, teach
from chainrule.later import Later
from chainrule.primitives.primitive import Primitive as _Primitive
from chainrule.version import __version__ as __version__

places.install()
teach(globals())
newaxis = None

# Parts, and names from parts, that are loaded when they are first used, so that starting stays quick.
with Later(globals()) as _later:
    from chainrule import (
        accelerator as accelerator, amp as amp, autograd as autograd, backends as backends,
        compiler as compiler, cuda as cuda, data as data, distributed as distributed, distributions as distributions,
        func as func, fx as fx, generative as generative, hub as hub, jit as jit,
        linalg as linalg, metrics as metrics, models as models, mps as mps, multiprocessing as multiprocessing,
        nn as nn, onnx as onnx, optim as optim, printing as printing, random as random, rl as rl, robust as robust,
        serialization as serialization, sparse as sparse, special as special, train as train, transfer as transfer,
        tune as tune, utils as utils, version as version, vision as vision, xpu as xpu,
    )  # fmt: skip
    from chainrule.amp import (
        GradScaler as GradScaler, autocast as autocast, get_autocast_dtype as get_autocast_dtype,
        is_autocast_enabled as is_autocast_enabled,
    )  # fmt: skip
    from chainrule.compiler.function import compile as compile
    from chainrule.utils.internals import SymBool as SymBool, SymFloat as SymFloat, SymInt as SymInt
    from chainrule.backends.native.run.pool import (
        get_num_threads as get_num_threads,
        set_num_threads as set_num_threads,
    )
    from chainrule.explain import package as explain
    from chainrule.exactness import (
        are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
        get_float32_matmul_precision as get_float32_matmul_precision,
        is_exact_arithmetic_enabled as is_exact_arithmetic_enabled,
        set_float32_matmul_precision as set_float32_matmul_precision,
        use_deterministic_algorithms as use_deterministic_algorithms,
        use_exact_arithmetic as use_exact_arithmetic,
    )  # fmt: skip
    from chainrule.func.mapping import vmap as vmap
    from chainrule.functions.finite_differences import gradient as gradient
    from chainrule.functions.nan_quantile import nanquantile as nanquantile
    from chainrule.functions.windows import (
        bartlett_window as bartlett_window, blackman_window as blackman_window, hamming_window as hamming_window,
        hann_window as hann_window, kaiser_window as kaiser_window,
    )  # fmt: skip
    from chainrule.functions.bessel import i0 as i0
    from chainrule.functions.control import scan as scan
    from chainrule.functions.gamma import digamma as digamma, erfinv as erfinv, lgamma as lgamma, polygamma as polygamma
    from chainrule.functions.incomplete_gamma import igamma as igamma, igammac as igammac
    from chainrule.functions.gamma import multigammaln as mvlgamma
    from chainrule.functions.linalg import (
        cholesky as cholesky, cross as cross, det as det, inverse as inverse,
        logdet as logdet, matrix_exp as matrix_exp, matrix_power as matrix_power, slogdet as slogdet,
    )  # fmt: skip
    from chainrule.functions.lu import lu_unpack as lu_unpack
    from chainrule.functions.older_names import (
        cholesky_inverse as cholesky_inverse, cholesky_solve as cholesky_solve, lu as lu, lu_solve as lu_solve,
        pinverse as pinverse, qr as qr, range as range, set_default_tensor_type as set_default_tensor_type, svd as svd,
        triangular_solve as triangular_solve, typename as typename,
    )  # fmt: skip
    from chainrule.functions.typed_constructors import (
        BFloat16Tensor as BFloat16Tensor, BoolTensor as BoolTensor, ByteTensor as ByteTensor,
        CharTensor as CharTensor, DoubleTensor as DoubleTensor, FloatTensor as FloatTensor, HalfTensor as HalfTensor,
        IntTensor as IntTensor, LongTensor as LongTensor, ShortTensor as ShortTensor,
    )  # fmt: skip
    from chainrule.methods.as_functions import (
        abs_ as abs_, acos_ as acos_, acosh_ as acosh_, addmv_ as addmv_, arccos_ as arccos_, arccosh_ as arccosh_,
        arcsin_ as arcsin_, arcsinh_ as arcsinh_, arctan_ as arctan_, arctanh_ as arctanh_, asin_ as asin_,
        asinh_ as asinh_, atan_ as atan_, atanh_ as atanh_, ceil_ as ceil_, clamp_ as clamp_,
        clamp_max_ as clamp_max_, clamp_min_ as clamp_min_, clip_ as clip_, cos_ as cos_, cosh_ as cosh_,
        deg2rad_ as deg2rad_, detach_ as detach_, erf_ as erf_, erfc_ as erfc_, exp2_ as exp2_, exp_ as exp_,
        expm1_ as expm1_, fill_ as fill_, fix_ as fix_, floor_ as floor_, frac_ as frac_, gcd_ as gcd_,
        i0_ as i0_, index_put_ as index_put_, lcm_ as lcm_, ldexp_ as ldexp_, log10_ as log10_, log1p_ as log1p_,
        log2_ as log2_,
        log_ as log_, logit_ as logit_, nan_to_num_ as nan_to_num_, neg_ as neg_, negative_ as negative_,
        rad2deg_ as rad2deg_, reciprocal_ as reciprocal_, relu_ as relu_, resize_as_ as resize_as_, round_ as round_,
        rsqrt_ as rsqrt_, sigmoid_ as sigmoid_, sin_ as sin_, sinc_ as sinc_, sinh_ as sinh_, sqrt_ as sqrt_,
        square_ as square_, tan_ as tan_, tanh_ as tanh_, trunc_ as trunc_, xlogy_ as xlogy_, zero_ as zero_,
    )  # fmt: skip
    from chainrule.portable.making import export_program as export_program
    from chainrule.portable.program import load_program as load_program
    from chainrule.nn.functional import (
        adaptive_avg_pool1d as adaptive_avg_pool1d, avg_pool1d as avg_pool1d, bilinear as bilinear, celu as celu,
        celu_ as celu_, channel_shuffle as channel_shuffle, conv1d as conv1d, conv2d as conv2d, conv3d as conv3d,
        conv_transpose1d as conv_transpose1d, conv_transpose2d as conv_transpose2d,
        conv_transpose3d as conv_transpose3d, cosine_similarity as cosine_similarity, hardshrink as hardshrink,
        max_pool1d as max_pool1d, max_pool1d_with_indices as max_pool1d_with_indices, max_pool2d as max_pool2d,
        max_pool3d as max_pool3d, pairwise_distance as pairwise_distance, pdist as pdist,
        pixel_shuffle as pixel_shuffle, pixel_unshuffle as pixel_unshuffle, prelu as prelu, rms_norm as rms_norm,
        rrelu as rrelu, rrelu_ as rrelu_, selu as selu, selu_ as selu_, threshold as threshold,
        threshold_ as threshold_,
    )  # fmt: skip
    from chainrule.nn.operators import (
        adaptive_max_pool1d as adaptive_max_pool1d, alpha_dropout as alpha_dropout, alpha_dropout_ as alpha_dropout_,
        batch_norm as batch_norm, binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
        cosine_embedding_loss as cosine_embedding_loss, ctc_loss as ctc_loss, dropout as dropout, dropout_ as dropout_,
        embedding as embedding, feature_alpha_dropout as feature_alpha_dropout,
        feature_alpha_dropout_ as feature_alpha_dropout_, group_norm as group_norm,
        hinge_embedding_loss as hinge_embedding_loss, instance_norm as instance_norm, kl_div as kl_div,
        layer_norm as layer_norm, margin_ranking_loss as margin_ranking_loss, poisson_nll_loss as poisson_nll_loss,
        triplet_margin_loss as triplet_margin_loss,
    )  # fmt: skip
    from chainrule.printing import set_printoptions as set_printoptions
    from chainrule.random import (
        Generator as Generator, bernoulli as bernoulli, binomial as binomial, default_generator as default_generator,
        get_rng_state as get_rng_state, initial_seed as initial_seed, manual_seed as manual_seed,
        multinomial as multinomial, normal as normal, poisson as poisson, rand as rand, rand_like as rand_like,
        randint as randint, randint_like as randint_like, randn as randn, randn_like as randn_like,
        randperm as randperm, seed as seed, set_rng_state as set_rng_state,
    )  # fmt: skip
    from chainrule.serialization import load as load, save as save
    from chainrule.sparse import (
        sparse_coo as sparse_coo, sparse_coo_tensor as sparse_coo_tensor, sparse_csr as sparse_csr,
        sparse_csr_tensor as sparse_csr_tensor,
    )  # fmt: skip
    from chainrule.sparse.products import dsmm as dsmm, spmm as spmm


def _loading(owner: type[_Primitive] | type[_Block[...]] | type[_Composite]) -> _Any:
    """What stands for `as_program` until eager code does its first large operation: then the compiler is loaded."""

    def first_call(*call: _Any) -> _Any:
        from chainrule.compiler import single

        return owner.as_program(*call)

    return staticmethod(first_call)


for _owner in (_Primitive, _Block, _Composite):
    _owner.as_program = _loading(_owner)

if not TYPE_CHECKING:  # it would believe in every name

    def __getattr__(name: str) -> object:
        if name in _later.names:
            found = globals()[name] = public(_later.load(name))
            return found
        place = places.find("", name)
        if place is not None:
            return place
        if name.startswith("_foreach_"):
            from chainrule.functions.foreach import operation

            if (operation_for_each := operation(name.removeprefix("_foreach_"))) is not None:
                globals()[name] = operation_for_each
                return operation_for_each
        from chainrule.absent_names import refuse

        refuse("", name, __dir__())


def __dir__() -> list[str]:
    return sorted({*globals(), *_later.names})
