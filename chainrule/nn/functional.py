"""The functions under the layers, under PyTorch's names."""

from chainrule.functions.activation import sigmoid
from chainrule.functions.elementwise import tanh
from chainrule.functions.indexing import one_hot
from chainrule.nn.activation import log_softmax, relu, softmax
from chainrule.nn.attention import scaled_dot_product_attention
from chainrule.nn.conv import conv1d, conv2d, conv3d
from chainrule.nn.conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from chainrule.nn.dropout import dropout
from chainrule.nn.linear import linear
from chainrule.nn.loss import cross_entropy, l1_loss, mse_loss, nll_loss
from chainrule.nn.padding import pad
from chainrule.nn.pooling import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "dropout",
    "l1_loss",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "pad",
    "relu",
    "scaled_dot_product_attention",
    "sigmoid",
    "softmax",
    "tanh",
]
