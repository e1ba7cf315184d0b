"""The registry: every network by its name, with what it is for, what it learns from and what can be chosen about it.

An entry is declared where its network is built:

    @register("lenet5", task="classification", data="images", input=(1, 32, 32), paper="LeCun et al. 1998")
    def lenet5(**options: Any) -> LeNet5:
        return LeNet5(**options)

and its file is named in `FAMILIES` below, so that it is imported when the registry is first asked. The options are the
builder's arguments; where it takes `**options`, those of the class that it returns belong to them.

`chainrule train NAME` finds the entry, and its task says what a run is (`chainrule/tasks/kinds.py`): there is no other
place where a network must be made known.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from chainrule.nn.module import Module

#: The files that declare entries.
FAMILIES = (
    "chainrule.models.alexnet",
    "chainrule.models.autoencoder",
    "chainrule.models.bert",
    "chainrule.models.convnet",
    "chainrule.models.decoder",
    "chainrule.models.fcn",
    "chainrule.models.googlenet",
    "chainrule.models.gpt2",
    "chainrule.models.keypoints",
    "chainrule.models.lenet5",
    "chainrule.models.linear_models",
    "chainrule.models.llama",
    "chainrule.models.maxout",
    "chainrule.models.mlp",
    "chainrule.models.mobilenet",
    "chainrule.models.nin",
    "chainrule.models.recurrent",
    "chainrule.models.recurrent_answers",
    "chainrule.models.resnet",
    "chainrule.models.resnet_cifar",
    "chainrule.models.transformer",
    "chainrule.models.unet",
    "chainrule.models.vgg",
    "chainrule.models.vision_transformer",
    "chainrule.generative.makers.entries",
)

P = ParamSpec("P")
M = TypeVar("M", bound=Module)


class HubFormat(typing.NamedTuple):
    """How a family is written in Hugging Face's folders, where that is not our own way.

    Attributes:
        model_type: what stands under this name in config.json, such as "gpt2".
        options: from the content of config.json to the builder's options.
        config: from the options to the content of config.json.
        read: from the weights by the file's names to those by the model's names.
        write: from the weights by the model's names to those by the file's names.
        architecture: the class that config.json names, where several networks have one model type.
    """

    model_type: str
    options: Callable[[dict[str, Any]], dict[str, Any]]
    config: Callable[[dict[str, Any]], dict[str, Any]]
    read: Callable[[dict[str, Any]], dict[str, Any]] = dict
    write: Callable[[dict[str, Any]], dict[str, Any]] = dict
    architecture: str = ""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known about a network before it is built.

    Attributes:
        name: torchvision's or Hugging Face's where they have it, else ours in the same style.
        build: makes it from its options.
        task: what it does: "classification", "segmentation", "language modelling", ….
        data: what it can learn from, as `chainrule.tasks` calls it: "images", "table", "text", ….
        input: the shape of one sample that it was made for; () where there is none.
        paper: the source, in a few words.
        smallest: the least height and width of images; smaller ones are enlarged by `chainrule train`.
        fit: from the shape of the samples and the number of outputs to options, for what follows from the data.
        hub: its form in Hugging Face's folders; None for our own.
    """

    name: str
    build: Callable[..., Module]
    task: str
    data: tuple[str, ...]
    input: tuple[int, ...]
    paper: str
    smallest: int = 1
    fit: Callable[[Sequence[int], int], dict[str, Any]] | None = None
    hub: HubFormat | None = None

    @property
    def reads_tokens(self) -> bool:
        """Whether its input is whole numbers that stand for pieces of text.

        >>> find("decoder").reads_tokens, find("lenet5").reads_tokens
        (True, False)
        """
        return not {"text", "labelled texts", "pairs"}.isdisjoint(self.data)

    @property
    def options(self) -> dict[str, Any]:
        """The names of all options with their defaults; `inspect.Parameter.empty` where one must be given.

        >>> find("lenet5").options["num_classes"]
        10
        """
        parameters = list(inspect.signature(self.build).parameters.values())
        if _gathering(self.build):
            made = inspect.signature(typing.get_type_hints(self.build)["return"]).parameters.values()
            parameters += [p for p in made if p.default is not p.empty and p.kind is not p.VAR_KEYWORD]
        found: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.kind is not parameter.VAR_KEYWORD:
                found.setdefault(parameter.name, parameter.default)
        return found

    def options_for(self, shape: Sequence[int], outputs: int) -> dict[str, Any]:
        """The options for samples (C, H, W) and so many outputs: `num_classes`, `in_channels`, `image_size`, ….

        >>> find("lenet5").options_for((3, 28, 28), 7)
        {'num_classes': 7, 'in_channels': 3, 'image_size': 28}
        """
        if self.fit is not None:
            return self.fit(shape, outputs)
        usual = {"num_classes": outputs, "in_channels": shape[0], "image_size": shape[-1]}
        return {name: value for name, value in usual.items() if name in self.options}


_entries: dict[str, Entry] = {}


def register(
    name: str, *, task: str, data: str | tuple[str, ...], input: tuple[int, ...], paper: str, **more: Any
) -> Callable[[Callable[P, M]], Callable[P, M]]:
    """Declare a function that builds a network as an entry; see `Entry` for the arguments.

    What the function builds remembers its name and options as `architecture`, which `save_pretrained` writes down.
    Raises ValueError for a name that is taken.
    """

    def declare(build: Callable[P, M]) -> Callable[P, M]:
        if name in _entries and _entries[name].build.__module__ != build.__module__:
            raise ValueError(f"the name {name!r} is taken: {_entries[name].build.__module__} has declared it.")

        @functools.wraps(build)
        def built(*args: P.args, **kwargs: P.kwargs) -> M:
            model = build(*args, **kwargs)
            given = inspect.signature(build).bind(*args, **kwargs).arguments
            options = {key: value for key, value in given.items() if key not in _gathering(build)}
            for key in _gathering(build):
                options |= given.get(key, {})
            model.architecture = {"name": name, "options": options}
            return model

        _entries[name] = Entry(name, built, task, (data,) if isinstance(data, str) else data, input, paper, **more)
        return built

    return declare


def _gathering(build: Callable[..., Any]) -> list[str]:
    """The name of the argument that gathers all others by keyword, if there is one."""
    return [p.name for p in inspect.signature(build).parameters.values() if p.kind is p.VAR_KEYWORD]


def entries() -> dict[str, Entry]:
    """All entries by name.

    >>> entries()["resnet18"].input
    (3, 224, 224)
    """
    for family in FAMILIES:
        importlib.import_module(family)
    return dict(sorted(_entries.items()))


def names(task: str | None = None) -> list[str]:
    """The names of all entries, or of those for one task.

    >>> "lenet5" in names(), "lenet5" in names("segmentation")
    (True, False)
    """
    return [name for name, entry in entries().items() if task in (None, entry.task)]


def find(name: str) -> Entry:
    """The entry of this name. Raises ValueError, with the nearest names, if there is none.

    >>> find("lenet")
    Traceback (most recent call last):
    ValueError: there is no model 'lenet'; the nearest are lenet5...
    """
    found = entries()
    if name not in found:
        near = difflib.get_close_matches(str(name).lower().replace("-", "_"), found, n=4, cutoff=0.5)
        hint = f"the nearest {'are' if len(near) > 1 else 'is'} {', '.join(near)}" if near else "none is like it"
        raise ValueError(f"there is no model {name!r}; {hint}. All of them: `chainrule models`.")
    return found[name]


def create(name: str, **options: Any) -> Module:
    """A network by its name, with its options. Raises ValueError for an unknown name or option.

    >>> type(create("lenet5", num_classes=3)).__name__
    'LeNet5'
    """
    entry = find(name)
    check_options(name, entry.options, options)
    check_kinds(name, entry.options, options)
    return entry.build(**options)


def create_fitting(name: str, usual: Mapping[str, Any], chosen: Mapping[str, Any]) -> Module:
    """A network with those of the usual options that it has, and with all that were chosen, which come first.

    >>> create_fitting("lenet5", {"num_classes": 3, "vocabulary": 65}, {}).classifier[-1].out_features
    3
    """
    known = find(name).options
    return create(name, **{**{option: value for option, value in usual.items() if option in known}, **chosen})


def check_kinds(name: str, defaults: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Raise a ValueError for a text where an option is a number or several, as its default says.

    >>> check_kinds("mlp", {"hidden": (128,)}, {"hidden": [8, "abc"]})
    Traceback (most recent call last):
    ValueError: the model mlp has numbers as hidden, such as 128, got 'abc'.
    """
    for option, value in options.items():
        default = defaults.get(option)
        usual = list(default) if isinstance(default, (list, tuple)) else [default]
        texts = [x for x in (value if isinstance(value, (list, tuple)) else [value]) if isinstance(x, str)]
        if texts and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in usual):
            several = "numbers" if isinstance(default, (list, tuple)) else "a number"
            such = f", such as {', '.join(map(str, usual))}" if usual else ""
            raise ValueError(f"the model {name} has {several} as {option}{such}, got {texts[0]!r}.")


def check_options(name: str, known: Iterable[str], options: Iterable[str]) -> None:
    """Raise a ValueError for an option that a network of this name does not have.

    >>> check_options("mlp", ["sizes", "activation"], {"size": [4, 2]})
    Traceback (most recent call last):
    ValueError: the model mlp has no option 'size'; it has sizes, activation.
    """
    for option in options:
        if option not in known:
            raise ValueError(f"the model {name} has no option {option!r}; it has {', '.join(known)}.")
