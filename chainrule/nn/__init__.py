"""Layers, losses and what they are made of, under PyTorch's names."""

from chainrule.nn import functional, init, penalty, utils
from chainrule.nn.activation import LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from chainrule.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from chainrule.nn.conv import Conv1d, Conv2d, Conv3d
from chainrule.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from chainrule.nn.dropout import Dropout
from chainrule.nn.linear import Flatten, Identity, Linear, Unflatten
from chainrule.nn.loss import CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from chainrule.nn.module import Module
from chainrule.nn.pooling import AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d
from chainrule.tensor import Parameter

__all__ = [
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "L1Loss",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Unflatten",
    "functional",
    "init",
    "penalty",
    "utils",
]
