"""Arrays with units in HDF5."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from torch import Tensor

from torchmag.errors import FileFormatError
from torchmag.io.atomic import whole
from torchmag.io.checked import MOST_PACKED, reading


def write(path, arrays: Mapping[str, tuple], attributes: Mapping[str, object] | None = None, *, overwrite: bool = False) -> Path:
    """Write arrays to an HDF5 file, completely or not at all.

    Args:
        path: of the file.
        arrays: name -> (tensor, array or list of strings; unit; what its axes are).  The unit and the axes are stored as
            the attributes `units` and `axes` of the dataset.
        attributes: of the file.
        overwrite: replace an existing file.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
    """
    with whole(path, overwrite=overwrite) as partial, h5py.File(partial, "w") as file:
        file.attrs.update(attributes or {})
        for name, (values, units, axes) in arrays.items():
            _write_array(file, name, values, units, axes)
    return Path(path)


def read(path) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Arrays by full name ("group/name"), and the attributes of the file; strings come as Python strings.

    Raises:
        FileFormatError: not an HDF5 file, cut off, damaged, or with data that lie in other files.
        FileNotFoundError, PermissionError.
    """
    with reading(path, FileFormatError), h5py.File(path, "r") as file:
        arrays = {}

        def take(name, item):
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual or item.nbytes > MOST_PACKED * Path(path).stat().st_size:
                    raise FileFormatError(f"{name} lies in another file, or claims {item.nbytes} bytes")
                text = h5py.check_string_dtype(item.dtype) is not None
                arrays[name] = item.asstr()[...] if text else item[...]

        file.visititems(take)
        return arrays, dict(file.attrs)


def _write_array(file, name, values, units, axes):
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values)
    if values.dtype.kind == "U":
        dataset = file.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    else:
        chunked = (
            {"compression": "gzip", "compression_opts": 4, "shuffle": True, "fletcher32": True} if values.size > 1000 else {}
        )
        dataset = file.create_dataset(name, data=values, **chunked)
    dataset.attrs["units"] = units
    dataset.attrs["axes"] = axes
