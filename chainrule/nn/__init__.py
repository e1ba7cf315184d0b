"""Layers, losses and what they are made of, under PyTorch's names."""

from chainrule.nn import functional, init, kernels, penalty, utils
from chainrule.nn.activation import GELU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from chainrule.nn.adaptive_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    GlobalMaxPool1d,
    GlobalMaxPool2d,
    GlobalMaxPool3d,
)
from chainrule.nn.causal_attention import CausalSelfAttention, KeyValueCache
from chainrule.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from chainrule.nn.conv import Conv1d, Conv2d, Conv3d
from chainrule.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.nn.convolution_matrix import convolution_matrix
from chainrule.nn.dropout import (
    AlphaDropout,
    ClassicDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    FeatureAlphaDropout,
)
from chainrule.nn.embedding import Embedding, EmbeddingBag
from chainrule.nn.fold_batch_norm import fold_batch_norm
from chainrule.nn.fractional_pooling import FractionalMaxPool2d, FractionalMaxPool3d
from chainrule.nn.linear import Flatten, Identity, Linear, Unflatten
from chainrule.nn.loss import CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from chainrule.nn.lp_pooling import LPPool1d, LPPool2d, LPPool3d
from chainrule.nn.module import Module
from chainrule.nn.multihead import MultiheadAttention
from chainrule.nn.normalization_layers import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)
from chainrule.nn.pooling import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from chainrule.nn.positions import LearnedPositions, SinusoidalPositions
from chainrule.nn.receptive_field import ReceptiveField, output_size, receptive_field
from chainrule.nn.recurrent import GRU, LSTM, RNN, RNNBase
from chainrule.nn.recurrent_cells import GRUCell, LSTMCell, RNNCell, RNNCellBase
from chainrule.nn.resampling import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d
from chainrule.nn.tokens import Tokens
from chainrule.nn.transformer import Transformer, TransformerDecoder, TransformerEncoder
from chainrule.nn.transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer
from chainrule.nn.unpooling import MaxUnpool1d, MaxUnpool2d, MaxUnpool3d
from chainrule.tensor import Parameter

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AlphaDropout",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CausalSelfAttention",
    "ClassicDropout",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "EmbeddingBag",
    "FeatureAlphaDropout",
    "Flatten",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "GELU",
    "GRU",
    "GRUCell",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "GlobalMaxPool1d",
    "GlobalMaxPool2d",
    "GlobalMaxPool3d",
    "GroupNorm",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KeyValueCache",
    "L1Loss",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LSTM",
    "LSTMCell",
    "LayerNorm",
    "LearnedPositions",
    "Linear",
    "LocalResponseNorm",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "RMSNorm",
    "RNN",
    "RNNBase",
    "RNNCell",
    "RNNCellBase",
    "ReLU",
    "ReceptiveField",
    "Sequential",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Tanh",
    "Tokens",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "Unflatten",
    "Upsample",
    "UpsamplingBilinear2d",
    "UpsamplingNearest2d",
    "convolution_matrix",
    "fold_batch_norm",
    "functional",
    "init",
    "kernels",
    "output_size",
    "penalty",
    "receptive_field",
    "utils",
]
