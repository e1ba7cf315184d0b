"""Images as NumPy arrays, before they become tensors."""

import numpy as np

from chainrule.errors import DataError

#: Images are resized together as long as they have no more pixels than this.
TOGETHER = 2**20


def resize_images(images: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resize images by linear interpolation along both axes; the scale of the values stays as it was.

    Pixels are squares, and their centres are what is interpolated between: when H becomes H′, the centre of
    row i lies at (i + ½) · H / H′ − ½ in rows of the input. Beyond the outermost centres the edge continues.
    When an axis shrinks, the triangle that weights the neighbours widens by the same factor, so that every
    pixel of the input counts. This is `torch.nn.functional.interpolate` with `mode="bilinear"`,
    `align_corners=False` and `antialias=True`.

    Args:
        images: (…, H, W), integers, booleans or floats, any number of leading axes (none, a batch, channels).
        size: the new (H′, W′), in pixels; one number for a square.

    Returns:
        (…, H′, W′), float32, in the range of the input: for the digits 0 to 16, so `/ 16` makes it 0 to 1.

    Raises:
        DataError: fewer than two axes, an axis of images without pixels, complex or other values that are
            not real numbers, or a size below 1.

    Source: K. Turkowski, "Filters for Common Resampling Tasks", *Graphics Gems* (1990); computed by Pillow.

    >>> resize_images(np.array([[0, 8], [8, 16]]), (2, 4))
    array([[ 0.,  2.,  6.,  8.],
           [ 8., 10., 14., 16.]], dtype=float32)
    >>> resize_images(np.zeros((100, 3, 8, 8), np.uint8), 32).shape
    (100, 3, 32, 32)
    """
    from PIL import Image  # only here: `import chainrule` does not wait for it

    images = np.asarray(images)
    height, width = (size, size) if isinstance(size, int) else size
    if images.ndim < 2 or 0 in images.shape[-2:]:
        raise DataError(f"images must be (…, H, W) with H and W at least 1; got shape {images.shape}")
    if images.dtype.kind not in "biuf":
        raise DataError(f"images must hold real numbers; got {images.dtype}")
    if height < 1 or width < 1:
        raise DataError(f"size must be at least 1 × 1; got {height} × {width}")

    *leading, old_height, old_width = images.shape
    planes = np.ascontiguousarray(images, dtype=np.float32).reshape(-1, old_height, old_width)
    resized = np.empty((len(planes), height, width), np.float32)

    def widened(rows: np.ndarray, width: int) -> np.ndarray:
        """(…, n) to (…, width): to Pillow the rows of all images are one image, of which the height stays."""
        one = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]))
        done = Image.fromarray(one).resize((width, len(one)), Image.Resampling.BILINEAR)
        return np.asarray(done).reshape(*rows.shape[:-1], width)

    some = max(1, TOGETHER // max(old_height * old_width, old_height * width, height * width))
    for first in range(0, len(planes), some):
        wide = widened(planes[first : first + some], width)
        resized[first : first + some] = widened(wide.swapaxes(1, 2), height).swapaxes(1, 2)
    return resized.reshape(*leading, height, width)
