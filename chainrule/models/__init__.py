"""Architectures, one file for each family; by their names in the registry: `create`, `names`, `find`.

`from_pretrained` and `save_pretrained` take weights from elsewhere and put them down for others.
"""

from chainrule.models.alexnet import AlexNet, TwoTowerAlexNet
from chainrule.models.autoencoder import Autoencoder, ConvAutoencoder, DenseAutoencoder, interpolate_codes
from chainrule.models.bert import Bert, BertClassifier, BertMaskedWords
from chainrule.models.clustering import choose_k, kmeans
from chainrule.models.convnet import ConvNet
from chainrule.models.decoder import DecoderTransformer
from chainrule.models.fcn import FCN
from chainrule.models.googlenet import AuxiliaryLoss, GoogLeNet
from chainrule.models.gpt2 import GPT2
from chainrule.models.keypoints import KeypointNet
from chainrule.models.lenet5 import LeCunLeNet5, LeNet5
from chainrule.models.linear_models import LinearRegression, LogisticRegression
from chainrule.models.linear_regression import elastic_net, lasso, least_squares, ridge
from chainrule.models.llama import Llama
from chainrule.models.maxout import MaxoutNet
from chainrule.models.mlp import MLP
from chainrule.models.mobilenet import MobileNetV1, MobileNetV2
from chainrule.models.nin import NetworkInNetwork
from chainrule.models.normal_equations import NormalEquations, streamed_least_squares
from chainrule.models.pca import pca
from chainrule.models.pretrained import from_pretrained, save_pretrained
from chainrule.models.recurrent import RecurrentClassifier, RecurrentLanguageModel, RecurrentTagger
from chainrule.models.recurrent_answers import RecurrentCaptioner, RecurrentTranslator
from chainrule.models.registry import Entry, HubFormat, check_options, create, find, names, register
from chainrule.models.resnet import (
    ResNet,
    resnet10,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
)
from chainrule.models.resnet_cifar import CifarResNet
from chainrule.models.transformer import EncoderDecoderTransformer
from chainrule.models.unet import UNet
from chainrule.models.vgg import VGG
from chainrule.models.vision_transformer import (
    VisionTransformer,
    vit_b_16,
    vit_b_32,
    vit_l_16,
    vit_small_cifar,
    vit_tiny_cifar,
)

__all__ = [
    "AlexNet",
    "Autoencoder",
    "AuxiliaryLoss",
    "Bert",
    "BertClassifier",
    "BertMaskedWords",
    "CifarResNet",
    "ConvAutoencoder",
    "ConvNet",
    "DecoderTransformer",
    "DenseAutoencoder",
    "EncoderDecoderTransformer",
    "Entry",
    "FCN",
    "GPT2",
    "GoogLeNet",
    "HubFormat",
    "KeypointNet",
    "LeCunLeNet5",
    "LeNet5",
    "LinearRegression",
    "Llama",
    "LogisticRegression",
    "MLP",
    "MaxoutNet",
    "MobileNetV1",
    "MobileNetV2",
    "NetworkInNetwork",
    "NormalEquations",
    "RecurrentCaptioner",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecurrentTagger",
    "RecurrentTranslator",
    "ResNet",
    "TwoTowerAlexNet",
    "UNet",
    "VGG",
    "VisionTransformer",
    "check_options",
    "choose_k",
    "create",
    "elastic_net",
    "find",
    "from_pretrained",
    "interpolate_codes",
    "kmeans",
    "lasso",
    "least_squares",
    "names",
    "pca",
    "register",
    "resnet10",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "ridge",
    "save_pretrained",
    "streamed_least_squares",
    "vit_b_16",
    "vit_b_32",
    "vit_l_16",
    "vit_small_cifar",
    "vit_tiny_cifar",
]
