"""Architectures, one file for each family; by their names in the registry: `create`, `names`, `find`.

`from_pretrained` and `save_pretrained` take weights from elsewhere and put them down for others.
"""

from chainrule.models.bert import Bert, BertClassifier, BertMaskedWords
from chainrule.models.clustering import choose_k, kmeans
from chainrule.models.convnet import ConvNet
from chainrule.models.decoder import DecoderTransformer
from chainrule.models.gpt2 import GPT2
from chainrule.models.lenet5 import LeNet5
from chainrule.models.linear_regression import elastic_net, lasso, least_squares, ridge
from chainrule.models.llama import Llama
from chainrule.models.mlp import MLP
from chainrule.models.normal_equations import NormalEquations, streamed_least_squares
from chainrule.models.pca import pca
from chainrule.models.pretrained import from_pretrained, save_pretrained
from chainrule.models.recurrent import RecurrentClassifier, RecurrentLanguageModel, RecurrentTagger
from chainrule.models.recurrent_answers import RecurrentCaptioner, RecurrentTranslator
from chainrule.models.registry import Entry, HubFormat, check_options, create, find, names, register
from chainrule.models.resnet import ResNet, resnet10, resnet18
from chainrule.models.transformer import EncoderDecoderTransformer
from chainrule.models.unet import UNet
from chainrule.models.vision_transformer import (
    VisionTransformer,
    vit_b_16,
    vit_b_32,
    vit_l_16,
    vit_small_cifar,
    vit_tiny_cifar,
)

__all__ = [
    "Bert",
    "BertClassifier",
    "BertMaskedWords",
    "GPT2",
    "Llama",
    "RecurrentCaptioner",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecurrentTagger",
    "RecurrentTranslator",
    "VisionTransformer",
    "vit_b_16",
    "vit_b_32",
    "vit_l_16",
    "vit_small_cifar",
    "vit_tiny_cifar",
    "ConvNet",
    "DecoderTransformer",
    "EncoderDecoderTransformer",
    "Entry",
    "HubFormat",
    "LeNet5",
    "MLP",
    "NormalEquations",
    "ResNet",
    "UNet",
    "check_options",
    "choose_k",
    "create",
    "elastic_net",
    "find",
    "from_pretrained",
    "kmeans",
    "lasso",
    "least_squares",
    "names",
    "pca",
    "register",
    "resnet10",
    "resnet18",
    "ridge",
    "save_pretrained",
    "streamed_least_squares",
]
