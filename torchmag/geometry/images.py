"""Bodies from pictures."""

from os import PathLike, fspath

import numpy as np
import torch
from torch import Tensor

from torchmag.mesh import Mesh

# Rec. 601 luma, what "grey level" means in most programs.
LUMA = (0.299, 0.587, 0.114)


def from_image(
    image,
    mesh: Mesh,
    threshold: float | None = 0.5,
    *,
    dark: bool = True,
    resize: bool = False,
    dtype: torch.dtype | None = None,
    device=None,
) -> Tensor:
    """A body drawn as a picture: pixel for cell, x to the right and y up (row 0 of the picture is at the largest y).

    A transparent picture is laid on white paper.  On a 3D mesh the picture is extended along z.

    Args:
        image: a path (PNG and whatever pillow reads), or an array or tensor (rows, columns), (rows, columns, 3) or (..., 4) with
            floats in [0, 1] or uint8, 0 black.
        mesh: 2D or 3D.
        threshold: cells darker than this grey level (0 black, 1 white) are inside; None gives the darkness itself, a fraction.
        dark: whether the body is dark; False: it is bright.
        resize: whether a picture of another size is fitted, by nearest pixels.
        dtype: of grey levels, torch's default dtype by default.
        device: of the result.

    Returns:
        bool (*cells), or without a threshold floats in [0, 1] (*cells), the `fraction` of a Magnet.
    Raises:
        TypeError: bool or other arrays that are no picture.
        ValueError: levels outside [0, 1], a size that is not the mesh's, a file that is no picture.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"from_image: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
    if mesh.dim == 1:
        raise ValueError("from_image: mesh is 1D, expected 2D or 3D")
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"from_image: threshold = {threshold}, expected in (0, 1), or None for grey levels")
    brightness = _brightness(_pixels(image)).T[:, ::-1]  # (columns, rows from below), that is (x, y)
    brightness = _fit(brightness, mesh.cells[:2], resize)
    if threshold is None:
        levels = 1 - brightness if dark else brightness
        result = torch.from_numpy(levels.copy()).to(dtype=dtype or torch.get_default_dtype(), device=device)
    else:
        inside = brightness < threshold if dark else brightness > threshold
        result = torch.from_numpy(inside.copy()).to(device=device)
    return result.reshape(*result.shape, *(1,) * (mesh.dim - 2)).expand(mesh.cells).clone()


def _pixels(image):
    if isinstance(image, (str, PathLike)):
        from matplotlib import image as pictures

        try:
            return pictures.imread(fspath(image))
        except (SyntaxError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ValueError(f"from_image: {fspath(image)!r} cannot be read as a picture: {error}") from None
    if isinstance(image, Tensor):
        image = image.detach().cpu()
    return np.asarray(image)


def _brightness(pixels):
    """Grey level in [0, 1], float64 (rows, columns)."""
    if pixels.dtype == np.uint8:
        pixels = pixels / 255.0
    elif pixels.dtype.kind != "f":
        raise TypeError(f"from_image: image holds {pixels.dtype}, expected uint8 or floats in [0, 1]; a mask needs no from_image")
    colours = pixels.ndim == 3 and pixels.shape[2] in (3, 4)
    if not (colours or pixels.ndim == 2) or pixels.size == 0:
        raise ValueError(f"from_image: image has shape {pixels.shape}, expected (rows, columns[, 3 or 4])")
    pixels = pixels.astype(np.float64)
    if not bool(((pixels >= 0) & (pixels <= 1)).all()):
        raise ValueError(f"from_image: image spans {pixels.min():g} to {pixels.max():g}, expected levels in [0, 1]")
    if not colours:
        return pixels
    # The weights add up to 1 only within rounding.
    level = np.clip(pixels[..., :3] @ np.array(LUMA), 0, 1)
    return level * pixels[..., 3] + (1 - pixels[..., 3]) if pixels.shape[2] == 4 else level


def _fit(levels, cells, resize):
    if levels.shape == tuple(cells):
        return levels
    if not resize:
        raise ValueError(
            f"from_image: image is {levels.shape[0]} x {levels.shape[1]} pixels, the mesh {cells[0]} x {cells[1]} cells; "
            f"resize=True takes the nearest pixels"
        )
    nearest = [((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(cells, levels.shape)]
    return levels[np.ix_(*nearest)]
