"""The functions under the layers, under PyTorch's names."""

from typing import TYPE_CHECKING

from chainrule.absent_names import teller
from chainrule.functions.activation import gelu, sigmoid
from chainrule.functions.counting import one_hot
from chainrule.functions.elementwise import tanh
from chainrule.functions.words import teach
from chainrule.nn.activations.classic import log_softmax, relu, relu_, softmax
from chainrule.nn.activations.piecewise import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    prelu,
    relu6,
    rrelu,
    rrelu_,
    softshrink,
    threshold,
    threshold_,
)
from chainrule.nn.activations.smooth import (
    celu,
    celu_,
    elu,
    elu_,
    glu,
    gumbel_softmax,
    logsigmoid,
    mish,
    selu,
    selu_,
    silu,
    softmin,
    softplus,
    softsign,
    tanhshrink,
)
from chainrule.nn.attention.dot_product import causal_mask, scaled_dot_product_attention
from chainrule.nn.attention.multihead import multi_head_attention_forward
from chainrule.nn.bilinear import bilinear
from chainrule.nn.convolution.layers import conv1d, conv2d, conv3d
from chainrule.nn.convolution.transposed import conv_transpose1d, conv_transpose2d, conv_transpose3d
from chainrule.nn.distance import cosine_similarity, normalize, pairwise_distance, pdist
from chainrule.nn.dropout import (
    alpha_dropout,
    classic_dropout,
    dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
)
from chainrule.nn.embedding import embedding, embedding_bag
from chainrule.nn.linear import linear
from chainrule.nn.losses.binary import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    hinge_loss,
    soft_margin_loss,
)
from chainrule.nn.losses.classes import cross_entropy, l1_loss, mse_loss, nll_loss
from chainrule.nn.losses.ctc import ctc_loss
from chainrule.nn.losses.distribution import (
    categorical_log_likelihood,
    elbo_terms,
    gaussian_kl,
    gaussian_log_likelihood,
    gaussian_nll_loss,
    kl_div,
    poisson_nll_loss,
)
from chainrule.nn.losses.generative import discriminator_loss, generator_loss, gradient_penalty
from chainrule.nn.losses.margin import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from chainrule.nn.losses.regression import huber_loss, smooth_l1_loss
from chainrule.nn.normalisation.functions import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    rms_norm,
)
from chainrule.nn.padding.functions import pad
from chainrule.nn.pooling.adaptive import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool1d_with_indices,
    adaptive_max_pool2d,
    adaptive_max_pool2d_with_indices,
    adaptive_max_pool3d,
    adaptive_max_pool3d_with_indices,
)
from chainrule.nn.pooling.fractional import (
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
)
from chainrule.nn.pooling.lp import lp_pool1d, lp_pool2d, lp_pool3d
from chainrule.nn.pooling.unpooling import max_unpool1d, max_unpool2d, max_unpool3d
from chainrule.nn.pooling.windows import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
)
from chainrule.nn.rearrange import channel_shuffle, fold, pixel_shuffle, pixel_unshuffle, unfold
from chainrule.nn.resizing.grid_sampling import affine_grid, grid_sample
from chainrule.nn.resizing.resampling import interpolate, upsample, upsample_bilinear, upsample_nearest
from chainrule.nn.transformer.positions import sinusoidal_positions

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "categorical_log_likelihood",
    "causal_mask",
    "celu",
    "celu_",
    "channel_shuffle",
    "classic_dropout",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "discriminator_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elbo_terms",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gaussian_kl",
    "gaussian_log_likelihood",
    "gaussian_nll_loss",
    "gelu",
    "generator_loss",
    "glu",
    "gradient_penalty",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "sinusoidal_positions",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

teach(globals())

if not TYPE_CHECKING:  # it would believe in every name
    __getattr__ = teller("nn.functional", globals())
