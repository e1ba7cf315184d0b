"""All that can be chosen about a run, with checks: from flags, from a TOML file, or from an earlier run."""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from chainrule.errors import DataError
from chainrule.tasks.setting import DEVICE, NAMES, TABLE, YES_OR_NO, check, number, one_of, setting, text, whole

OPTIMIZERS = {
    "adam": "Adam",
    "adamw": "AdamW",
    "sgd": "SGD",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "nadam": "NAdam",
}
OPTIMISATION, DATA = "Optimisation", "Data"
_AT_LEAST_1 = whole(1, "at least 1")


@dataclasses.dataclass(frozen=True)
class Settings:
    """One run's settings. What is None becomes the default of the kind of data, see `Task.defaults`.

    Each field below carries its rule and the text that the command's help shows: `chainrule train --help`. Those
    without a heading have no flag of their own there and are set by `--set NAME=VALUE` or in a file.

    Raises ValueError for a setting out of range.

    >>> Settings(data="mnist", batch_size=64).learning_rate is None
    True
    """

    data: str = setting(
        "digits", text("the name of a data set, or a path"),
        "What to learn from: [bold]digits[/] (1,797 handwritten ones, always there), [bold]mnist[/], "
        "[bold]fashion-mnist[/], [bold]cifar10[/], [bold]cifar100[/], [bold]shakespeare[/], [bold]dates[/] (to be "
        "rewritten); a table (.csv, .parquet), a text (.txt), pairs of texts (.tsv, with a tab between them), a folder "
        "of images with one folder for each class (segmentation: with images/ and masks/; keypoints: a "
        "table with a column of files and nose_x, nose_y, …). Agents: an environment, such as [bold]cartpole[/].",
        "", DATA,
    )  # fmt: skip
    data_root: str | None = setting(
        None, text("a folder"), "The folder with known data's files.",
        "a cache folder, where they are downloaded to", DATA,
    )  # fmt: skip
    model: str | None = setting(
        None, text("the name of a model"),
        "What to train: a name from [bold]chainrule models[/], such as [bold]resnet18[/], [bold]mlp[/], [bold]unet[/], "
        "[bold]keypoints[/], [bold]autoencoder_conv[/], [bold]vae[/], [bold]dcgan[/], [bold]ddpm[/] or "
        "[bold]decoder[/]; or an agent: [bold]dqn[/], "
        "[bold]reinforce[/], [bold]a2c[/], [bold]ppo[/] or [bold]sac[/].",
        "what suits the data", "Arguments",
    )  # fmt: skip
    model_options: dict[str, Any] = setting(  # noqa: RUF009 - it is a field, with a dictionary for each
        dict, TABLE, "Options of the model's constructor, such as width."
    )
    size: int | None = setting(
        None, whole(1, "a number of pixels, at least 1"), "Images: the side they are resized to.", "", DATA
    )
    length: int | None = setting(
        None,
        whole(1, "a number of characters, at least 1"),
        "Texts: characters, or other tokens, seen at once.",
        "128",
        DATA,
    )
    tokens: str | None = setting(
        None, one_of("characters", "words"), "Labelled texts and pairs of texts: what one token is.",
        "words for labelled texts, characters for pairs", DATA,
    )  # fmt: skip
    target: str | None = setting(
        None, text("the name of a column"), "Tables: the column that is to be predicted.", "", DATA
    )
    classify: bool | None = setting(
        None, YES_OR_NO, "Tables: whether the target is a class.", "texts are, numbers are not", DATA,
        "--classify/--regress",
    )  # fmt: skip
    ignore: tuple[str, ...] = setting((), NAMES, "Tables: a column to leave out; may be repeated.", "", DATA)
    as_categories: tuple[str, ...] = setting(
        (), NAMES, "Tables: a column of categories that look like numbers; may be repeated.", "", DATA, "--category"
    )
    decimal: str = setting(".", one_of(".", ","), "Tables: what stands before a number's fraction.", "a point", DATA)
    missing: str = setting(
        "error", one_of("error", "drop", "mean"),
        "Tables: [bold]error[/] names missing values, [bold]drop[/] leaves out their rows, [bold]mean[/] fills in the "
        "mean.",
        "", DATA,
    )  # fmt: skip
    epochs: int | None = setting(
        None, _AT_LEAST_1, "Passes over the training data.", "30 (images), 100 (tables), 7 (texts)", OPTIMISATION
    )
    batch_size: int | None = setting(None, _AT_LEAST_1, "Samples in each step.", "32, texts 16", OPTIMISATION)
    accumulate: int = setting(1, _AT_LEAST_1, "Take a step after so many batches, with the mean of their gradients.")
    optimizer: str | None = setting(None, one_of(*OPTIMIZERS), "The update rule.", "adam, adamw", OPTIMISATION)
    learning_rate: float | None = setting(
        None, number(0, "a finite number above 0", above=True), "The largest step size, above 0.",
        "0.002 (adam), 0.05 (sgd), 0.003 (tables, texts)", OPTIMISATION, "--learning-rate", "--lr",
    )  # fmt: skip
    schedule: str = setting(
        "cosine", one_of("cosine", "constant", "onecycle", "steps"),
        "How the rate changes: it falls along half a cosine, stays, rises and falls, or falls to a tenth after "
        "half and after three quarters of all steps.", "", OPTIMISATION,
    )  # fmt: skip
    warmup: float | None = setting(
        None, number(0, "a share from 0 to 1", 1),
        "The share of all steps in which the rate rises from 0 (not with onecycle).",
    )  # fmt: skip
    momentum: float = setting(0.9, number(0, "a number from 0 to 0.9999", 0.9999), "For sgd.", "", OPTIMISATION)
    weight_decay: float | None = setting(
        None, number(0, "a finite number, at least 0"), "Strength of the L2 penalty; decoupled for adamw.", "",
        OPTIMISATION,
    )  # fmt: skip
    clip_norm: float | None = setting(
        None, number(0, "a finite number above 0", above=True), "The largest norm of the gradients.", "1 for texts",
        OPTIMISATION,
    )  # fmt: skip
    label_smoothing: float = setting(
        0.0, number(0, "a share from 0 to 0.9999", 0.9999), "How much of each label is spread over all classes."
    )
    average: float | None = setting(
        None, number(0, "a share from 0 to 0.99999", 0.99999),
        "Keep a mean of the weights too, of which each step leaves so much (0.999). Where its validation loss is below "
        "that of the best epoch, the run ends with it.",
        "none", OPTIMISATION,
    )  # fmt: skip
    shift: int | None = setting(
        None, whole(0, "a number of pixels from 0 to 32", 32),
        "Move each training image by up to so many pixels, anew in each epoch.",
        "2, for colour images 4, for mlp 0", OPTIMISATION,
    )  # fmt: skip
    flip: bool | None = setting(
        None, YES_OR_NO, "Turn half of the training images left to right.", "colour images only", OPTIMISATION
    )
    patience: int | None = setting(
        None, whole(1, "a number of epochs, at least 1"),
        "End after so many epochs without a better validation loss.", "", OPTIMISATION,
    )  # fmt: skip
    seed: int = setting(0, whole(0, "a whole number, at least 0"), "Same seed, same run.", "0", OPTIMISATION)
    gradient_flow: int = setting(
        0, whole(0, "a number of steps, at least 0"),
        "Look at gradients, updates and units of every layer every so many steps; the report shows them.",
        "0: never", OPTIMISATION,
    )  # fmt: skip
    debug: bool = setting(
        False, YES_OR_NO, "Name the first operation that makes a NaN or an infinity; steps take twice the time."
    )
    precision: str = setting(
        "float32", one_of("float32", "bfloat16"),
        "How weights, activations and gradients are kept in a step. [bold]bfloat16[/] takes half the memory, and less "
        "time where the processor multiplies it (AVX512-BF16); updates are summed in float32, and tests made in it.",
        "float32", OPTIMISATION,
    )  # fmt: skip
    compile: bool = setting(
        True, YES_OR_NO, "Compile the step, or compute operation by operation.", "compile",
        OPTIMISATION, "--compile/--eager",
    )  # fmt: skip
    backend: str = setting(
        "native", one_of("native", "xla", "numpy"),
        "What runs compiled steps; xla needs JAX (the extra xla).", "native", OPTIMISATION,
    )  # fmt: skip
    device: str | None = setting(
        None, DEVICE, "Where the network learns: [bold]cuda[/], [bold]tpu[/], or [bold]xla[/], JAX's CPU device (all "
        "need the extra xla). What is saved knows nothing of it.",
        "cpu", OPTIMISATION,
    )  # fmt: skip
    devices: int = setting(
        1, whole(1, "a number of devices, at least 1"), "With xla: over how many devices each batch is split.", "1",
        OPTIMISATION,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self)

    def with_defaults(self, defaults: Mapping[str, Any]) -> Settings:
        """What is None filled in."""
        return dataclasses.replace(self, **{k: v for k, v in defaults.items() if getattr(self, k) is None})

    def changed(self, **changes: Any) -> Settings:
        """With other values; a name that is no setting is an option of the model's constructor.

        >>> Settings(data="digits", model="convnet").changed(epochs=2, width=8).model_options
        {'width': 8}
        """
        known = {name: value for name, value in changes.items() if name in _NAMES}
        options = {name: value for name, value in changes.items() if name not in _NAMES}
        return dataclasses.replace(self, **known, model_options={**self.model_options, **options})

    def with_set(self, **changes: Any) -> Settings:
        """What `--set NAME=VALUE` says: an option of the model where it has one of that name, else any setting.

        So a model may have an option named as a setting is, which has a flag of its own.

        >>> told = Settings(data="mnist", model="ddpm").with_set(schedule="linear", epochs=2)
        >>> told.model_options, told.schedule, told.epochs
        ({'schedule': 'linear'}, 'cosine', 2)
        """
        from chainrule import models

        model = changes.get("model", self.model)
        own = models.find(model).options if isinstance(model, str) and model in models.names() else ()
        options = {name: changes.pop(name) for name in tuple(changes) if name in own and name in _NAMES}
        return dataclasses.replace(self, model_options={**self.model_options, **options}).changed(**changes)

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], place: str) -> Self:
        """From a file's content. Raises ValueError for a name that is unknown and for a value of a wrong type."""
        if not isinstance(values, Mapping):
            raise ValueError(f"{place}: expected settings by name, got {values!r:.60}.")
        found = {name.replace("-", "_"): value for name, value in values.items()}
        for name in found:
            if name not in _NAMES:
                close = difflib.get_close_matches(name, _NAMES, n=1)
                hint = f" Did you mean {close[0]}?" if close else ""
                raise ValueError(f"{place}: there is no setting {name!r}.{hint}")
        for name in ("ignore", "as_categories"):
            if isinstance(found.get(name), list):
                found[name] = tuple(found[name])
        try:
            return cls(**found)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None


def read_settings(path: str | Path) -> Settings:
    r"""Settings from a TOML file, or from the config.json of a run's folder. Raises DataError if it cannot be read.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "run.toml"
    >>> _ = path.write_text('data = "mnist"\nbatch-size = 64\n')
    >>> read_settings(path).batch_size
    64
    """
    path = Path(path)
    if path.is_dir():
        path = path / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)["settings"] if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{path} holds no settings: {error}.") from error
    return Settings.from_mapping(content, str(path))


_NAMES = {field.name for field in dataclasses.fields(Settings)}
