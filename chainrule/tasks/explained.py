"""A run or a network of the registry laid open on one sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.data.readers.folder import IMAGE_ENDINGS, channels_first, read_image
from chainrule.errors import DataError
from chainrule.explain.explanation import Explanation
from chainrule.functions.creation import tensor
from chainrule.models.registry import create, find
from chainrule.nn.module import Module
from chainrule.random import randint, randn
from chainrule.tasks.kinds import load_task
from chainrule.tasks.on_a_sample import explain_sample, explain_scores
from chainrule.tasks.run import open_run
from chainrule.tasks.task import Task

#: Words that a text network is shown, at most.
WORDS = 16


def explain_run(path: str | Path, input: str | None = None, data_root: str | None = None) -> Explanation:
    """A run's best weights on one sample: of its validation data, with the loss, or of a file that `predict` takes.

    Of a file the gradients are those of the largest score. Raises DataError if the run or the sample cannot be read.
    """
    opened = open_run(path)
    if input is not None:
        found = explain_scores(opened.model, *_inputs_for(opened.task, opened.model, input))
    else:
        settings = opened.task.settings
        _, parts = load_task(settings if data_root is None else settings.changed(data_root=data_root))
        found = explain_sample(opened.task, opened.model, parts.validation)
    found.title = f"{opened.task.settings.model} of {Path(path).name}"
    return found


def explain_model(name: str, size: Sequence[int] | None, options: dict[str, Any], input: str | None) -> Explanation:
    """A network of the registry, with its first weights, on random numbers, an image, or an array in a file (.npy).

    An image gets the network's size, or `size`, and values from 0 to 1.
    """
    entry, model = find(name), create(name, **options)
    if input is not None and input.lower().endswith(IMAGE_ENDINGS) and not entry.reads_tokens:
        samples = [_image_in(input, size or entry.input)]
    elif input is not None:
        samples = [_array_in(input, entry.reads_tokens)]
    else:
        samples = [_random_sample(entry, size or entry.input) for _ in range(2 if "pairs" in entry.data else 1)]
    found = explain_scores(model, *samples)
    found.title = name
    return found


def _inputs_for(task: Task, model: Module, input: str) -> tuple[Any, ...]:
    """What a run's model is given to predict this input."""
    calls: list[tuple[Any, ...]] = []
    handle = model.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    try:
        task.predict(model, [input])
    finally:
        handle.remove()
    if not calls:
        raise DataError(
            f"explain: a run of {task.kind} writes word by word and does not call its model as a whole. Leave --input "
            "out to see it on a sample of its data."
        )
    return calls[0]


def _random_sample(entry: Any, size: Sequence[int]) -> Any:
    if entry.reads_tokens:
        return randint(0, 2, (1, min(size[0], WORDS)))
    return randn(1, *size)


def _image_in(file: str, size: Sequence[int]) -> Any:
    """An image (1, C, H, W) from 0 to 1, in the number of channels and the size that a network takes."""
    if len(size) != 3 or size[0] not in (1, 3):
        shape = "×".join(map(str, size))
        raise DataError(f"--input: the network takes {shape}, which no image gives; write the array into a .npy file.")
    image = read_image(file, "L" if size[0] == 1 else "RGB").resize((size[2], size[1]))
    return tensor(channels_first(image)[None].astype(np.float32) / 255)


def _array_in(file: str, tokens: bool) -> Any:
    """The array in a .npy file as a batch of one sample, or as the batch that it is."""
    try:
        array = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"--input: there is no file {file}.") from None
    except (OSError, ValueError) as error:
        why = "" if "pickle" in str(error) else f": {error}"
        raise DataError(f"--input: {file} holds no array of numbers as numpy.save writes it{why}.") from error
    return tensor(array.astype(np.int64 if tokens else np.float32))
