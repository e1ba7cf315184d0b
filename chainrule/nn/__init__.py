"""Layers, losses and what they are made of, under PyTorch's names.

Every public name stands here once, as `name as name`: so type checkers know that it is meant for others.
"""

import types as _types
import typing as _typing

from chainrule.absent_names import teller as _teller
from chainrule.nn import (
    functional as functional, init as init, kernels as kernels, parallel as parallel, parameter as parameter,
    penalty as penalty, utils as utils,
)  # fmt: skip
from chainrule.nn.activations.classic import (
    GELU as GELU, LogSoftmax as LogSoftmax, ReLU as ReLU, Sigmoid as Sigmoid, Softmax as Softmax, Tanh as Tanh,
)  # fmt: skip
from chainrule.nn.activations.maxout import Maxout as Maxout
from chainrule.nn.activations.piecewise import (
    Hardshrink as Hardshrink, Hardsigmoid as Hardsigmoid, Hardswish as Hardswish, Hardtanh as Hardtanh,
    LeakyReLU as LeakyReLU, PReLU as PReLU, ReLU6 as ReLU6, RReLU as RReLU, Softshrink as Softshrink,
    Threshold as Threshold,
)  # fmt: skip
from chainrule.nn.activations.smooth import (
    CELU as CELU, ELU as ELU, GLU as GLU, SELU as SELU, LogSigmoid as LogSigmoid, Mish as Mish, SiLU as SiLU,
    Softmax2d as Softmax2d, Softmin as Softmin, Softplus as Softplus, Softsign as Softsign, Tanhshrink as Tanhshrink,
)  # fmt: skip
from chainrule.nn.attention.causal import CausalSelfAttention as CausalSelfAttention, KeyValueCache as KeyValueCache
from chainrule.nn.attention.multihead import MultiheadAttention as MultiheadAttention
from chainrule.nn.bilinear import Bilinear as Bilinear
from chainrule.nn.container import (
    ModuleDict as ModuleDict, ModuleList as ModuleList, ParameterDict as ParameterDict,
    ParameterList as ParameterList, Sequential as Sequential,
)  # fmt: skip
from chainrule.nn.convolution.field import ReceptiveField as ReceptiveField
from chainrule.nn.convolution.layers import Conv1d as Conv1d, Conv2d as Conv2d, Conv3d as Conv3d
from chainrule.nn.convolution.matrix import convolution_matrix as convolution_matrix
from chainrule.nn.convolution.output_size import output_size as output_size
from chainrule.nn.convolution.receptive_field import receptive_field as receptive_field
from chainrule.nn.convolution.transposed import (
    ConvTranspose1d as ConvTranspose1d, ConvTranspose2d as ConvTranspose2d, ConvTranspose3d as ConvTranspose3d,
)  # fmt: skip
from chainrule.nn.distance import CosineSimilarity as CosineSimilarity, PairwiseDistance as PairwiseDistance
from chainrule.nn.dropout import (
    AlphaDropout as AlphaDropout, ClassicDropout as ClassicDropout, Dropout as Dropout, Dropout1d as Dropout1d,
    Dropout2d as Dropout2d, Dropout3d as Dropout3d, FeatureAlphaDropout as FeatureAlphaDropout,
)  # fmt: skip
from chainrule.nn.embedding import Embedding as Embedding, EmbeddingBag as EmbeddingBag
from chainrule.nn.lazy import (
    LazyBatchNorm1d as LazyBatchNorm1d, LazyBatchNorm2d as LazyBatchNorm2d, LazyBatchNorm3d as LazyBatchNorm3d,
    LazyConv1d as LazyConv1d, LazyConv2d as LazyConv2d, LazyConv3d as LazyConv3d,
    LazyConvTranspose1d as LazyConvTranspose1d, LazyConvTranspose2d as LazyConvTranspose2d,
    LazyConvTranspose3d as LazyConvTranspose3d, LazyInstanceNorm1d as LazyInstanceNorm1d,
    LazyInstanceNorm2d as LazyInstanceNorm2d, LazyInstanceNorm3d as LazyInstanceNorm3d, LazyLinear as LazyLinear,
)  # fmt: skip
from chainrule.nn.linear import (
    Flatten as Flatten, Identity as Identity, Linear as Linear, TransposedLinear as TransposedLinear,
    Unflatten as Unflatten,
)  # fmt: skip
from chainrule.nn.losses.adaptive import AdaptiveLogSoftmaxWithLoss as AdaptiveLogSoftmaxWithLoss
from chainrule.nn.losses.binary import (
    BCELoss as BCELoss, BCEWithLogitsLoss as BCEWithLogitsLoss, HingeLoss as HingeLoss,
    SoftMarginLoss as SoftMarginLoss,
)  # fmt: skip
from chainrule.nn.losses.classes import (
    CrossEntropyLoss as CrossEntropyLoss, L1Loss as L1Loss, MSELoss as MSELoss, NLLLoss as NLLLoss,
)  # fmt: skip
from chainrule.nn.losses.ctc import CTCLoss as CTCLoss
from chainrule.nn.losses.distribution import (
    GaussianNLLLoss as GaussianNLLLoss, KLDivLoss as KLDivLoss, PoissonNLLLoss as PoissonNLLLoss,
)  # fmt: skip
from chainrule.nn.losses.generative import WeightedSum as WeightedSum
from chainrule.nn.losses.margin import (
    CosineEmbeddingLoss as CosineEmbeddingLoss, HingeEmbeddingLoss as HingeEmbeddingLoss,
    MarginRankingLoss as MarginRankingLoss, MultiLabelMarginLoss as MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss as MultiLabelSoftMarginLoss, MultiMarginLoss as MultiMarginLoss,
    TripletMarginLoss as TripletMarginLoss, TripletMarginWithDistanceLoss as TripletMarginWithDistanceLoss,
)  # fmt: skip
from chainrule.nn.losses.regression import HuberLoss as HuberLoss, SmoothL1Loss as SmoothL1Loss
from chainrule.nn.module import Module as Module
from chainrule.nn.normalisation.fold import fold_batch_norm as fold_batch_norm
from chainrule.nn.normalisation.layers import (
    BatchNorm1d as BatchNorm1d, BatchNorm2d as BatchNorm2d, BatchNorm3d as BatchNorm3d, GroupNorm as GroupNorm,
    InstanceNorm1d as InstanceNorm1d, InstanceNorm2d as InstanceNorm2d, InstanceNorm3d as InstanceNorm3d,
    LayerNorm as LayerNorm, LocalResponseNorm as LocalResponseNorm, RMSNorm as RMSNorm,
)  # fmt: skip
from chainrule.nn.normalisation.synchronised import SyncBatchNorm as SyncBatchNorm
from chainrule.nn.padding.layers import (
    CircularPad1d as CircularPad1d, CircularPad2d as CircularPad2d, CircularPad3d as CircularPad3d,
    ConstantPad1d as ConstantPad1d, ConstantPad2d as ConstantPad2d, ConstantPad3d as ConstantPad3d,
    RandomPad1d as RandomPad1d, RandomPad2d as RandomPad2d, RandomPad3d as RandomPad3d,
    ReflectionPad1d as ReflectionPad1d, ReflectionPad2d as ReflectionPad2d, ReflectionPad3d as ReflectionPad3d,
    ReplicationPad1d as ReplicationPad1d, ReplicationPad2d as ReplicationPad2d, ReplicationPad3d as ReplicationPad3d,
    ZeroPad1d as ZeroPad1d, ZeroPad2d as ZeroPad2d, ZeroPad3d as ZeroPad3d,
)  # fmt: skip
from chainrule.nn.parallel import DataParallel as DataParallel
from chainrule.nn.pooling.adaptive import (
    AdaptiveAvgPool1d as AdaptiveAvgPool1d, AdaptiveAvgPool2d as AdaptiveAvgPool2d,
    AdaptiveAvgPool3d as AdaptiveAvgPool3d, AdaptiveMaxPool1d as AdaptiveMaxPool1d,
    AdaptiveMaxPool2d as AdaptiveMaxPool2d, AdaptiveMaxPool3d as AdaptiveMaxPool3d,
    GlobalAvgPool1d as GlobalAvgPool1d, GlobalAvgPool2d as GlobalAvgPool2d, GlobalAvgPool3d as GlobalAvgPool3d,
    GlobalMaxPool1d as GlobalMaxPool1d, GlobalMaxPool2d as GlobalMaxPool2d, GlobalMaxPool3d as GlobalMaxPool3d,
)  # fmt: skip
from chainrule.nn.pooling.fractional import (
    FractionalMaxPool2d as FractionalMaxPool2d, FractionalMaxPool3d as FractionalMaxPool3d,
)  # fmt: skip
from chainrule.nn.pooling.lp import LPPool1d as LPPool1d, LPPool2d as LPPool2d, LPPool3d as LPPool3d
from chainrule.nn.pooling.unpooling import (
    MaxUnpool1d as MaxUnpool1d, MaxUnpool2d as MaxUnpool2d, MaxUnpool3d as MaxUnpool3d,
)  # fmt: skip
from chainrule.nn.pooling.windows import (
    AvgPool1d as AvgPool1d, AvgPool2d as AvgPool2d, AvgPool3d as AvgPool3d, MaxPool1d as MaxPool1d,
    MaxPool2d as MaxPool2d, MaxPool3d as MaxPool3d,
)  # fmt: skip
from chainrule.nn.low_bits import (
    QuantizedEmbedding as QuantizedEmbedding, QuantizedLinear as QuantizedLinear, quantize as quantize,
)  # fmt: skip
from chainrule.nn.rearrange import (
    ChannelShuffle as ChannelShuffle, Fold as Fold, PixelShuffle as PixelShuffle, PixelUnshuffle as PixelUnshuffle,
    Unfold as Unfold,
)  # fmt: skip
from chainrule.nn.recurrent.cells import (
    GRUCell as GRUCell, LSTMCell as LSTMCell, RNNCell as RNNCell, RNNCellBase as RNNCellBase,
)  # fmt: skip
from chainrule.nn.recurrent.layers import GRU as GRU, LSTM as LSTM, RNN as RNN, RNNBase as RNNBase
from chainrule.nn.resizing.resampling import (
    Upsample as Upsample, UpsamplingBilinear2d as UpsamplingBilinear2d, UpsamplingNearest2d as UpsamplingNearest2d,
)  # fmt: skip
from chainrule.nn.transformer.layers import (
    TransformerDecoderLayer as TransformerDecoderLayer, TransformerEncoderLayer as TransformerEncoderLayer,
)  # fmt: skip
from chainrule.nn.transformer.positions import (
    LearnedPositions as LearnedPositions, SinusoidalPositions as SinusoidalPositions,
)  # fmt: skip
from chainrule.nn.transformer.rotary import RotaryPositions as RotaryPositions
from chainrule.nn.transformer.stacks import (
    Transformer as Transformer, TransformerDecoder as TransformerDecoder, TransformerEncoder as TransformerEncoder,
)  # fmt: skip
from chainrule.nn.transformer.tokens import Tokens as Tokens
from chainrule.nn.uninitialized import (
    UninitializedBuffer as UninitializedBuffer, UninitializedParameter as UninitializedParameter,
)  # fmt: skip
from chainrule.tensor import Buffer as Buffer, Parameter as Parameter

#: The files that are parts of their own. Others are reached by what they define.
_PARTS = (functional, init, kernels, parallel, parameter, penalty, utils)
__all__ = sorted(
    name
    for name, thing in globals().items()
    if name[0] != "_" and (thing in _PARTS if isinstance(thing, _types.ModuleType) else True)
)

if not _typing.TYPE_CHECKING:  # it would believe in every name
    __getattr__ = _teller("nn", globals())
