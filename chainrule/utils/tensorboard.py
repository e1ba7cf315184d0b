"""PyTorch's `utils.tensorboard`: figures, pictures and texts of a run in files that TensorBoard shows.

The files are written by tensorboardX, which `pip install 'chainrule[tensorboard]'` brings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chainrule.tensor import Tensor

try:
    import tensorboardX
except ImportError as error:
    raise ImportError("utils.tensorboard needs tensorboardX: pip install 'chainrule[tensorboard]'.") from error

__path__: list[str] = []  # to Python it has modules below it, as PyTorch's has: see places.py
__all__ = ["SummaryWriter"]


def _plain(value: Any) -> Any:
    """Tensors as arrays, those in lists and dictionaries too."""
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 else value.detach().numpy()
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    return value


def _of_tensors(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of tensorboardX's that takes tensors wherever it takes arrays."""

    @functools.wraps(method)
    def write(self: Any, *args: Any, **kwargs: Any) -> Any:
        return method(self, *map(_plain, args), **_plain(kwargs))

    return write


class SummaryWriter(tensorboardX.SummaryWriter):
    """tensorboardX's writer, which takes chainrule's tensors: `add_scalar`, `add_image`, `add_histogram` and so on.

    Arguments as PyTorch's: `log_dir` (default: runs/ with the date), `comment`, `purge_step`, `max_queue`,
    `flush_secs`, `filename_suffix`.

    ```python
    with SummaryWriter("runs/first") as writer:
        writer.add_scalar("loss/train", loss, epoch)
    ```
    """

    def __init__(
        self,
        log_dir: str | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        super().__init__(log_dir, comment, purge_step, max_queue, flush_secs, filename_suffix)

    add_scalar = _of_tensors(tensorboardX.SummaryWriter.add_scalar)
    add_scalars = _of_tensors(tensorboardX.SummaryWriter.add_scalars)
    add_histogram = _of_tensors(tensorboardX.SummaryWriter.add_histogram)
    add_image = _of_tensors(tensorboardX.SummaryWriter.add_image)
    add_images = _of_tensors(tensorboardX.SummaryWriter.add_images)
    add_image_with_boxes = _of_tensors(tensorboardX.SummaryWriter.add_image_with_boxes)
    add_embedding = _of_tensors(tensorboardX.SummaryWriter.add_embedding)
    add_pr_curve = _of_tensors(tensorboardX.SummaryWriter.add_pr_curve)
    add_hparams = _of_tensors(tensorboardX.SummaryWriter.add_hparams)
    add_audio = _of_tensors(tensorboardX.SummaryWriter.add_audio)
    add_video = _of_tensors(tensorboardX.SummaryWriter.add_video)
    add_mesh = _of_tensors(tensorboardX.SummaryWriter.add_mesh)

    def add_graph(self, model: Any, input_to_model: Any = None, *args: Any, **kwargs: Any) -> None:
        """The printed model as a text named graph: a drawing would need PyTorch's tracer."""
        self.add_text("graph", f"```\n{model}\n```")
