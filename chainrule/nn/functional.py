"""The functions under the layers, under PyTorch's names."""

from chainrule.functions.activation import gelu, sigmoid
from chainrule.functions.elementwise import tanh
from chainrule.functions.indexing import one_hot
from chainrule.nn.activation import log_softmax, relu, softmax
from chainrule.nn.adaptive_pooling import (
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
from chainrule.nn.attention import causal_mask, scaled_dot_product_attention
from chainrule.nn.conv import conv1d, conv2d, conv3d
from chainrule.nn.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
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
from chainrule.nn.fractional_pooling import (
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
)
from chainrule.nn.grid_sampling import affine_grid, grid_sample
from chainrule.nn.linear import linear
from chainrule.nn.loss import cross_entropy, l1_loss, mse_loss, nll_loss
from chainrule.nn.lp_pooling import lp_pool1d, lp_pool2d, lp_pool3d
from chainrule.nn.multihead import multi_head_attention_forward
from chainrule.nn.normalization import batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm
from chainrule.nn.padding import pad
from chainrule.nn.pooling import (
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
from chainrule.nn.positions import sinusoidal_positions
from chainrule.nn.resampling import interpolate, upsample, upsample_bilinear, upsample_nearest
from chainrule.nn.unpooling import max_unpool1d, max_unpool2d, max_unpool3d

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
    "causal_mask",
    "classic_dropout",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gelu",
    "grid_sample",
    "group_norm",
    "instance_norm",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "linear",
    "local_response_norm",
    "log_softmax",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mse_loss",
    "multi_head_attention_forward",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "sinusoidal_positions",
    "softmax",
    "tanh",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]
