"""Constraints on weights, and batch norm folded away: compared in files of their own."""

TESTED = {
    **{
        f"nn.utils.parametrize.{name}": "tests/test_parametrizations.py"
        for name in (
            "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
            "transfer_parametrizations_and_params", "type_before_parametrizations",
        )
    },
    **{
        f"nn.utils.parametrizations.{name}": "tests/test_parametrizations.py"
        for name in ("orthogonal", "spectral_norm", "weight_norm")
    },
    **{
        f"nn.utils.{name}": "tests/test_parametrizations.py"
        for name in ("remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm")
    },
    **{
        f"nn.utils.{name}": "tests/test_fold_batch_norm.py"
        for name in ("fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights")
    },
}  # fmt: skip
