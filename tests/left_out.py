"""What PyTorch's `nn` and `optim` list and chainrule leaves out, and why. docs/pytorch.md shows it."""

_INTERNAL = "a helper of PyTorch's own code, not for users"
_NO_QUANTISATION = "no quantised or 8-bit scaled tensors here"

#: Name → reason.
LEFT_OUT = {
    "nn.Container": "PyTorch's own word for an old base class; use Module",
    "nn.CrossMapLRN2d": "an older LocalResponseNorm; PyTorch's sums a channel too many in the middle",
    "nn.DataParallel": "for several GPUs; chainrule runs on the cores of one machine",
    "nn.LinearCrossEntropyLoss": "cross_entropy(linear(x, W), y) is the same numbers; its chunks save memory alone, and have no second derivative",
    "nn.LinearCrossEntropyOptions": "cross_entropy(linear(x, W), y) is the same numbers; its chunks save memory alone, and have no second derivative",
    "nn.functional.linear_cross_entropy": "cross_entropy(linear(x, W), y) is the same numbers; its chunks save memory alone, and have no second derivative",
    "nn.NLLLoss2d": "an old name; NLLLoss takes images",
    "nn.factory_kwargs": _INTERNAL,
    "nn.SyncBatchNorm": "for several processes; in one it is BatchNorm",
    "nn.functional.assert_int_or_pair": _INTERNAL,
    "nn.functional.boolean_dispatch": _INTERNAL,
    "nn.functional.handle_torch_function": _INTERNAL,
    "nn.functional.has_torch_function": _INTERNAL,
    "nn.functional.has_torch_function_unary": _INTERNAL,
    "nn.functional.has_torch_function_variadic": _INTERNAL,
    "nn.functional.native_channel_shuffle": _INTERNAL,
    "nn.functional.conv_tbc": "a layout (time, batch, channels) of one old model family; conv1d of the permuted tensor",
    "nn.functional.grouped_mm": "for the experts of sparse models on GPUs",
    "nn.functional.scaled_grouped_mm": _NO_QUANTISATION,
    "nn.functional.scaled_mm": _NO_QUANTISATION,
    "nn.init.constant": "an old name; constant_",
    "nn.init.dirac": "an old name; dirac_",
    "nn.init.eye": "an old name; eye_",
    "nn.init.kaiming_normal": "an old name; kaiming_normal_",
    "nn.init.kaiming_uniform": "an old name; kaiming_uniform_",
    "nn.init.normal": "an old name; normal_",
    "nn.init.orthogonal": "an old name; orthogonal_",
    "nn.init.sparse": "an old name; sparse_",
    "nn.init.uniform": "an old name; uniform_",
    "nn.init.xavier_normal": "an old name; xavier_normal_",
    "nn.init.xavier_uniform": "an old name; xavier_uniform_",
    "nn.utils.clip_grad_norm": "an old name; clip_grad_norm_",
    "nn.utils.convert_conv2d_weight_memory_format": "how entries lie in memory is nobody's concern here",
    "nn.utils.convert_conv3d_weight_memory_format": "how entries lie in memory is nobody's concern here",
    "optim.SparseAdam": "for sparse gradients; gradients here are dense",
    "optim.swap_in_optimizer_params_and_state": _INTERNAL,
}
