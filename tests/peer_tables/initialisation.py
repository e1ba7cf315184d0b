"""Initialisation and what is done to gradients and parameters: compared with PyTorch in tests of their own."""

_INIT = "tests/test_init.py"
_UTILITIES = "tests/test_gradient_utilities.py"
_OLD = "tests/test_older_programs.py"

TESTED = {
    "nn.utils.clip_grad_norm": _OLD,
    **{
        f"nn.init.{name}": _OLD
        for name in (
            "constant", "dirac", "eye", "kaiming_normal", "kaiming_uniform", "normal", "orthogonal", "sparse", "uniform",
            "xavier_normal", "xavier_uniform",
        )
    },
    **{
        f"nn.init.{name}": _INIT
        for name in (
            "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
            "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
        )
    },
    **{
        f"nn.utils.{name}": _UTILITIES
        for name in (
            "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm",
            "parameters_to_vector", "skip_init", "vector_to_parameters",
        )
    },
}  # fmt: skip
