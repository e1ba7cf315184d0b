"""What PyTorch has and chainrule has not: why, and what to write instead.

An AttributeError says it when such a name is used, and the page docs/pytorch.md lists it; a test holds the table
against PyTorch's own lists of names.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

_COMPLEX = "tensors hold real numbers; keep real and imaginary parts along a dimension of size 2"
_SPARSE = "sparse tensors are sparse_coo_tensor and sparse_csr_tensor; their products are sparse.mm, addmm and @"
_SPARSE_METHOD = "of sparse tensors, which x.to_sparse() and x.to_sparse_csr() make"
_QUANTISED = "no quantised tensors; nn.quantize keeps the weights of a model in 8 or 4 bits"
_MEMORY = "how entries lie in memory is nobody's concern here; leave it out"
_STRIDES = "use x.unfold for windows that overlap, and x.diagonal, x[::2] and the like for other ways through x"
_DEVICE = "there is no such device or stream here; leave it out"
_INTERNAL = "a part of PyTorch's own machinery, not for users"
_SCRIPT = "use chainrule.compile, which makes a native program of a Python function"
_GRAPHS = "Python is not rewritten here: chainrule.compile traces a function, portable.export_program keeps its graph"
_LINEAR = "use chainrule.linalg"
_AUTOCAST = (
    "amp.autocast is a context that holds for what is within it: there is nothing to set; is_autocast_enabled(kind) "
    "and get_autocast_dtype(kind) say what holds"
)
_STORAGE = "values never change, so no memory can be shared; use numpy() or np.asarray(x)"
_FOURIER = "Fourier transforms are complex, and there are no such numbers; NumPy's fft works on x.numpy(), no gradients"
_PROCESSES = "threads are used by themselves (set_num_threads); several processes are those of chainrule.distributed"
_CHUNKS = (
    "cross_entropy(linear(x, W), y) is the same numbers; its chunks save memory alone, and have no second derivative"
)

#: For each part: a reason, and the names (separated by spaces) that it holds for. "" is the top level.
_REASONS: dict[str, dict[str, str]] = {
    "": {
        _COMPLEX: """
            angle complex imag is_conj is_neg polar
            view_as_complex view_as_real""",
        _SPARSE: """
            hsmm hspmm saddmm smm sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor sparse_csc_tensor
            sspaddmm""",
        _QUANTISED: """
            dequantize empty_quantized int_repr qint32 qint8 qscheme quantization quint2x4 quint4x2 quint8 ao bit
            bits16 bits1x8 bits2x4 bits4x2 bits8 choose_qparams_optimized""",
        "the types are float16, bfloat16, float32, float64, int8 to int64, uint8 and bool": """
            float4_e2m1fn_x2 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu int1 int2 int3
            int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7""",
        _MEMORY: "empty_permuted empty_strided",
        _DEVICE: "Event Stream cpu get_device_module is_vulkan_available mtia",
        "use x.get_device(), or x.device": "get_device",
        _SCRIPT: "compiled_with_cxx11_abi",
        "use chainrule.export_program(model, inputs, file), whose file load_program reads": "export",
        _STORAGE: "is_storage storage",
        _AUTOCAST: "autocast_decrement_nesting autocast_increment_nesting clear_autocast_cache",
        _PROCESSES: "is_distributed futures fork wait Future get_num_interop_threads "
        "set_num_interop_threads init_num_threads thread_safe_generator",
        "not there yet; scipy.signal works on x.numpy(), without gradients": "signal",
        _FOURIER: "fft istft stft",
        "not there yet; SciPy's scipy.stats.qmc has such sequences": "quasirandom",
        "use linalg.qr": "geqrf",
        "use linalg.svd and keep the first columns": "pca_lowrank svd_lowrank",
        "use linalg.eigh for symmetric matrices": "lobpcg",
        "use linalg.matrix_norm": "frobenius_norm nuclear_norm norm_except_dim",
        "use linalg.qr and its Q": "orgqr ormqr",
        "use histogram for each column": "histogramdd",
        "use index_put, scatter or x[…] = …": "put",
        "use scatter_reduce": "index_reduce segment_reduce",
        "use utils.dlpack.to_dlpack, or np.asarray(x)": "to_dlpack",
        "use from_numpy(np.memmap(…))": "from_file",
        "use nonzero": "nonzero_static",
        "use chainrule.scan for loops, and where for choices": "cond while_loop",
        "use chainrule.models, or load weights from a file": "package",
        "use compile(step).profile(…) or cProfile": "profiler monitor",
        "use NumPy's numpy.testing, or allclose": "testing",
        "use autograd.detect_anomaly": "is_anomaly_check_nan_enabled is_anomaly_enabled set_anomaly_enabled",
        "results are always repeatable": "get_deterministic_debug_mode set_deterministic_debug_mode "
        "is_deterministic_algorithms_warn_only_enabled",
        "use nested lists and padding: nn.utils.rnn.pad_sequence": "nested masked",
        "use chainrule.__version__": "torch_version",
        "use nn.ModuleDict": "ModuleDict",
        "use nn.ParameterDict": "ParameterDict",
        "use nn.Buffer": "BufferDict",
        "use nn.LSTM": "lstm rnn_relu rnn_tanh gru",
        "use nn.LSTMCell, nn.GRUCell or nn.RNNCell": "lstm_cell gru_cell rnn_relu_cell rnn_tanh_cell",
        "use nn.functional.pad": "constant_pad_nd",
        "use x.clone()": "alias_copy",
        "use x[…].clone()": "slice_copy",
        "use nn.functional.dropout2d": "feature_dropout feature_dropout_",
        "use conv1d of the permuted tensor": "conv_tbc",
        "use x * scale, or Embedding(max_norm=…)": "embedding_renorm_",
        "use nn.functional.conv2d and the like": "convolution",
        "use nn.functional.grid_sample": "grid_sampler grid_sampler_2d grid_sampler_3d",
        "use nn.functional.affine_grid": "affine_grid_generator",
        "Python's warnings decide": "set_warn_always is_warn_always_enabled",
        "denormal numbers stay what they are": "set_flush_denormal",
        "inference_mode is no_grad here": "is_inference is_inference_mode_enabled",
        "use split, chunk and split with sizes": "unsafe_chunk unsafe_split unsafe_split_with_sizes",
        "use chainrule.linalg.norm": "native_norm",
        _INTERNAL: """
            AVG AcceleratorError AggregationType AliasDb AnyType Argument ArgumentSpec AwaitType BenchmarkConfig
            BenchmarkExecutionStats Block BoolType CallStack Capsule ClassType Code CompilationUnit
            CompleteArgumentSpec ComplexType ConcreteModuleType ConcreteModuleTypeBuilder DeepCopyMemoTable
            contrib nativert numa
            DeserializationStorageContext DeviceObjType DictType DisableTorchFunction DisableTorchFunctionSubclass
            DispatchKey DispatchKeySet EnumType ErrorReport ExcludeDispatchKeyGuard ExecutionPlan FatalError
            FileCheck FloatType FunctionSchema FutureType Gradient Graph GraphExecutorState IODescriptor InferredType
            IntType InterfaceType JITException ListType LiteScriptModule LockingLogger LoggerBase Node NoneType
            NoopLogger NumberType OperatorInfo OptionalType OutOfMemoryError PyObjectType PyTorchFileReader
            PyTorchFileWriter RRefType SUM SerializationStorageContext StaticModule StreamObjType StringType Tag
            TensorType ThroughputBenchmark TracingState TupleType Type UnionType Use Value classes classproperty cpp
            get_file_path has_lapack has_mkl has_openmp has_spectral hash_tensor import_ir_module
            import_ir_module_from_buffer library merge_type_from_type_comment ops overrides parse_ir parse_schema
            parse_type_comment return_types slice_inverse types unify_type_list""",
    },
    "Tensor": {
        _COMPLEX: "angle cdouble cfloat chalf conj_physical_ imag is_conj is_neg",
        _SPARSE: """
            ccol_indices row_indices smm sparse_resize_ sparse_resize_and_clear_ sspaddmm to_sparse_bsc to_sparse_bsr
            to_sparse_csc""",
        _SPARSE_METHOD: """
            coalesce col_indices crow_indices dense_dim indices is_coalesced is_sparse_csr sparse_dim values""",
        _QUANTISED: "dequantize int_repr qscheme",
        _MEMORY: "const_data_ptr data_ptr dim_order is_set_to new_empty_strided",
        _STRIDES: "as_strided_",
        _DEVICE: "ipu is_ipu is_maia is_mkldnn is_mtia is_vulkan mtia record_stream to_mkldnn xpu",
        _STORAGE: "set_ storage storage_type untyped_storage",
        "use resize_ and resize_as_": "resize resize_as resize_as_sparse_",
        "write it with tensor operations, or on x.numpy()": "apply_ map_ map2_",
        "tensors have no subclasses with rules of their own": "as_subclass module_load",
        "use x.copy_(x.mvlgamma(p))": "mvlgamma_",
        "use x.copy_(x.polygamma(n))": "polygamma_",
        _LINEAR: "eig geqrf lstsq orgqr ormqr solve symeig",
        _FOURIER: "istft stft",
        "use index_put, scatter or x[…] = …": "index put",
        "use scatter_reduce": "index_reduce index_reduce_",
        "use nonzero": "nonzero_static",
        "use narrow(…).clone()": "narrow_copy",
        "use nn.utils.rnn.pad_sequence": "to_padded_tensor",
        "use split and chunk": "unsafe_chunk unsafe_split unsafe_split_with_sizes",
        "gradients have the type of their tensor": "grad_dtype",
        "use a loss that is multiplied by the reward": "reinforce",
        "under no_grad nothing is recorded": "volatile",
        _PROCESSES: "is_distributed",
        _INTERNAL: "hash_tensor name output_nr slice_inverse",
    },
    "nn": {
        "PyTorch's own word for an old base class; use Module": "Container",
        "an older LocalResponseNorm; PyTorch's sums a channel too many in the middle": "CrossMapLRN2d",
        _CHUNKS: "LinearCrossEntropyLoss LinearCrossEntropyOptions",
        "an old name; NLLLoss takes images": "NLLLoss2d",
        _INTERNAL: "factory_kwargs",
    },
    "nn.functional": {
        _CHUNKS: "linear_cross_entropy",
        _INTERNAL: """
            assert_int_or_pair boolean_dispatch handle_torch_function has_torch_function has_torch_function_unary
            has_torch_function_variadic native_channel_shuffle""",
        "a layout (time, batch, channels) of one old model family; conv1d of the permuted tensor": "conv_tbc",
        "for the experts of sparse models on GPUs": "grouped_mm",
        "no quantised or 8-bit scaled tensors here": "scaled_grouped_mm scaled_mm",
    },
    "nn.utils": {
        _MEMORY: "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format",
    },
    "compiler": {
        "use chainrule.compile": "compile",
        "a compiled step is traced as a whole; what shall run in Python stands outside of it": """
            assume_constant_result disable""",
        "programs are kept with the function that chainrule.compile gives; make another one": "reset",
    },
    "hub": {
        "its code is written for PyTorch and would be run; load weights into one of chainrule.models": "help list load",
    },
    "optim": {
        "for sparse gradients; gradients here are dense, so Adam": "SparseAdam",
        _INTERNAL: "swap_in_optimizer_params_and_state",
    },
    "utils": {
        "assign p.data, or call load_state_dict(…, assign=True)": "swap_tensors",
    },
    "utils.data": {
        "use Dataset and IterableDataset": """
            DFIterDataPipe DataChunk IterDataPipe MapDataPipe functional_datapipe guaranteed_datapipes_determinism
            non_deterministic""",
        _INTERNAL: "argument_validation runtime_validation runtime_validation_disabled",
    },
}  # fmt: skip

#: Beginnings of names, at the top level and of tensors' methods.
_BEGINNINGS = {
    "Script": _SCRIPT,
    "Sym": _INTERNAL,
    "sym_": _INTERNAL,
    "cudnn_": _INTERNAL,
    "miopen_": _INTERNAL,
    "mkldnn_": _INTERNAL,
    "native_": _INTERNAL,
    "batch_norm_": _INTERNAL,
    "fbgemm_": _QUANTISED,
    "quantize": _QUANTISED,
    "fake_quantize": _QUANTISED,
    "fused_moving_avg_obs": _QUANTISED,
    "q_": _QUANTISED,
    "per_": _QUANTISED,
    "sparse_": _SPARSE,
    "jagged": "use nested lists and padding: nn.utils.rnn.pad_sequence",
    "legacy_contiguous": _MEMORY,
    "prepare_multiprocessing": _INTERNAL,
    "profiler_": _INTERNAL,
    "get_autocast": _AUTOCAST,
    "set_autocast": _AUTOCAST,
    "is_autocast": _AUTOCAST,
}

#: Where else a name may be found, in this order.
_PLACES = ("nn.functional", "nn", "", "linalg", "optim", "optim.lr_scheduler", "autograd", "func", "utils.data")


@cache
def _table(area: str) -> dict[str, str]:
    return {name: reason for reason, names in _REASONS.get(area, {}).items() for name in names.split()}


#: Whole modules of PyTorch's below its parts: a reason, and their full names.
_MODULES: dict[str, str] = {
    "there is one kind of derivative, the backward pass: func.jvp and func.jacfwd give forward products": """
        autograd.forward_ad""",
    "use compile(step).profile(…) or cProfile": "autograd.profiler autograd.profiler_legacy autograd.profiler_util",
    "use multiprocessing.spawn, the function": "multiprocessing.spawn",
    "use multiprocessing.Pool and Queue, which are Python's": """
        multiprocessing.pool multiprocessing.queue multiprocessing.reductions""",
    "the operations here are all there is, no libraries behind them": """
        backends.cpu backends.cudnn.rnn backends.cusparselt backends.kleidiai backends.mha backends.miopen backends.mkl
        backends.nnpack backends.openmp backends.opt_einsum backends.python_native
        backends.quantized backends.xeon backends.xnnpack""",
    _DEVICE: """
        accelerator.graphs accelerator.memory mps.event mps.profiler xpu.graphs xpu.memory xpu.random xpu.streams
        cuda.comm cuda.gds cuda.graphs cuda.green_contexts cuda.jiterator
        cuda.nccl cuda.nvtx cuda.profiler cuda.sparse cuda.streams cuda.tunable""",
    _QUANTISED: "nn.intrinsic nn.qat nn.quantizable nn.quantized",
    "nn.functional.scaled_dot_product_attention takes any mask, and its memory grows with L + S": """
        nn.attention.bias nn.attention.experimental nn.attention.flex_attention nn.attention.varlen""",
    _CHUNKS: "nn.modules.linear_cross_entropy nn.modules.linear_cross_entropy_options",
    "the gradients of a convolution come from the backward pass, or from autograd.grad": "nn.grad",
    _MEMORY: "nn.utils.memory_format",
    "on one device the model itself is what DataParallel makes of it: leave it out": "nn.parallel",
    "modules are called where they are; distributed exchanges what they need": "distributed.nn.api distributed.nn.jit",
    "there is DistributedSampler": "utils.data.distributed",
    "for sparse gradients; gradients here are dense, so Adam": "optim.sparse_adam",
    "use Dataset and IterableDataset": """
        utils.data.backward_compatibility utils.data.datapipes utils.data.graph utils.data.graph_settings""",
    "chainrule has no parts in C++, and compile makes native code": """
        nn.cpp utils.cpp_backtrace utils.cpp_extension utils.file_baton utils.hipify utils.mkldnn utils.jit
        utils.mobile_optimizer utils.bundled_inputs""",
    "use compile(step).profile(…), which counts operations": "utils.flop_counter utils.throughput_benchmark",
    "`pip list` and `python -m chainrule` say what is installed": "utils.collect_env",
    _INTERNAL: """
        compiler.config cuda.amp.common utils.tensorboard.summary nn.backends
        utils.backcompat utils.backend_registration utils.debug_log utils.model_dump
        utils.module_tracker utils.serialization utils.show_pickle utils.viz utils.weak utils.deterministic
        utils.benchmark.examples utils.benchmark.op_fuzzers utils.benchmark.utils""",
}


#: Parts of PyTorch of which some may be here: what is said of everything else in them.
_PARTLY = {
    "cuda": "JAX orders what a GPU does and keeps its memory: no streams, events or graphs; time with synchronize()",
    "distributed": "whole groups of processes exchange tensors and objects here; there is no further machinery",
    "fx": _GRAPHS,
    "jit": _SCRIPT,
    "multiprocessing": _PROCESSES,
    "nn.parallel": "on one device the model itself is what DataParallel makes of it",
    "onnx": "onnx.export writes a file and onnx.load reads one; there is no further machinery",
    "sparse": _SPARSE,
}


@cache
def _modules() -> dict[str, str]:
    return {name: reason for reason, names in _MODULES.items() for name in names.split()}


def names() -> list[str]:
    """All names that the table lists one by one, as "nn.Container"."""
    return [f"{area}.{name}".lstrip(".") for area in _REASONS for name in _table(area)]


def reason(area: str, name: str) -> str:
    """Why a name of PyTorch is not in a part of chainrule, or what to use; "" if nothing is known about it.

    >>> reason("", "elu"), reason("nn", "NLLLoss2d")
    ('use nn.functional.elu', 'an old name; NLLLoss takes images')
    """
    known = _table(area).get(name) or _modules().get(f"{area}.{name}")
    if known is not None:
        return known
    if area in ("", "Tensor"):
        if name.endswith("Storage") or name == "StorageBase":
            return _STORAGE
        for beginning, why in _BEGINNINGS.items():
            if name.startswith(beginning):
                return why
    for part, why in _PARTLY.items():
        if f"{area}.".startswith(f"{part}."):
            return why
    return _elsewhere(area, name)


def _elsewhere(area: str, name: str) -> str:
    """Where the name is instead: a method, another part, or the same without PyTorch's endings."""
    from chainrule.tensor import Tensor

    if area == "" and hasattr(Tensor, name):
        return f"it is a method, x.{name}(…)"
    if area == "" and name in _table("Tensor"):
        return _table("Tensor")[name]
    if area == "" and name.endswith("_copy"):
        known = name.removesuffix("_copy")
        return f"use x.{known}(…).clone()" if hasattr(Tensor, known) else reason("", known) or reason("Tensor", known)
    for place in _PLACES:
        if place != area and _has(place, name):
            return f"use {place or 'chainrule'}.{name}"
    if name.endswith("_") and _has("nn.functional", name.removesuffix("_")):
        return f"use x = nn.functional.{name.removesuffix('_')}(x)"
    return ""


def _has(area: str, name: str) -> bool:
    if name.startswith("_"):
        return False
    module = importlib.import_module(f"chainrule.{area}".rstrip("."))
    return name in vars(module) or name in (getattr(module, "__all__", None) or ())


def refuse(area: str, name: str, there: Any) -> NoReturn:
    """Raise the AttributeError for a name that is not there: a reason, or names that look like it.

    there: the names that could have been meant.
    """
    said = message(area, name)
    if not said:
        said = f"{_owner(area)} has no {name!r}"
        near = [] if name.startswith("_") else _near(name, there)
        said += f": did you mean {' or '.join(near)}?" if near else ""
    raise AttributeError(said)


def message(area: str, name: str) -> str:
    """What is said of a name that is not there, "" if nothing is known about it: for an attribute and for an import."""
    found = "" if name.startswith("_") else reason(area, name)
    return f"{_owner(area)} has no {name!r}: {found}" if found else ""


def _owner(area: str) -> str:
    return "a tensor" if area == "Tensor" else f"chainrule.{area}".rstrip(".")


def _near(name: str, there: Any) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, [n for n in there if not n.startswith("_")], 3, 0.7)


def teller(area: str, there: dict[str, Any]) -> Callable[[str], Any]:
    """What a part's `__getattr__` is: it gives PyTorch's modules that are elsewhere here, and raises for other names.

    there: the part's own names, `globals()`.
    """

    def tell(name: str) -> Any:
        from chainrule.places import find

        place = find(area, name)
        if place is not None:
            return place
        refuse(area, name, there)

    return tell
