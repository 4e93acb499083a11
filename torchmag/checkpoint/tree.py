"""Trees of tensors and numbers as JSON and bytes, and back, bit for bit."""

import math

import numpy as np
import torch
from torch import Tensor

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128, torch.bool,
        torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64,
    )
}  # fmt: skip


def encode(content) -> tuple[object, list[Tensor]]:
    """JSON in which tensors stand as their number, and the tensors.

    Raises:
        TypeError: what is neither a tensor, number, string, bytes nor None, by where it stands.
    """
    tensors: list[Tensor] = []
    return _encode(content, tensors, "content"), tensors


def _encode(x, tensors, place):
    if x is None or isinstance(x, str | bool | int) and type(x) in (str, bool, int):
        return x
    if isinstance(x, float):
        return float(x) if math.isfinite(x) else {"$float": repr(float(x))}
    if isinstance(x, np.generic):
        return _encode(x.item(), tensors, place)
    if isinstance(x, dict):
        if all(type(key) is str and not key.startswith("$") for key in x):
            return {key: _encode(value, tensors, f"{place}[{key!r}]") for key, value in x.items()}
        pairs = [[_encode(key, tensors, place), _encode(value, tensors, f"{place}[{key!r}]")] for key, value in x.items()]
        return {"$dict": pairs}
    if isinstance(x, list | tuple):
        items = [_encode(value, tensors, f"{place}[{index}]") for index, value in enumerate(x)]
        return items if isinstance(x, list) else {"$tuple": items}
    if isinstance(x, Tensor):
        return {"$tensor": _number(x.detach(), tensors, place)}
    if isinstance(x, np.ndarray):
        return {"$array": _number(torch.from_numpy(np.array(x)), tensors, place)}
    if isinstance(x, bytes):
        return {"$bytes": _number(torch.tensor(list(x), dtype=torch.uint8), tensors, place)}
    raise TypeError(
        f"a checkpoint cannot hold {place}, a {type(x).__name__}; expected tensors, arrays, numbers, strings, bytes, None, and "
        f"dicts, lists and tuples of these"
    )


def _number(tensor, tensors, place):
    if tensor.layout != torch.strided or str(tensor.dtype).removeprefix("torch.") not in DTYPES:
        raise TypeError(f"a checkpoint cannot hold {place}, a {tensor.dtype} {tensor.layout} tensor")
    tensors.append(tensor.resolve_conj().resolve_neg())
    return len(tensors) - 1


def decode(x, tensors: list[Tensor]):
    """The content of `encode`."""
    if isinstance(x, list):
        return [decode(value, tensors) for value in x]
    if not isinstance(x, dict):
        return x
    kind, value = next(iter(x.items()), ("", None))
    if kind == "$float":
        return float(value)
    if kind == "$dict":
        return {decode(key, tensors): decode(entry, tensors) for key, entry in value}
    if kind == "$tuple":
        return tuple(decode(entry, tensors) for entry in value)
    if kind == "$tensor":
        return tensors[value]
    if kind == "$array":
        return tensors[value].numpy()
    if kind == "$bytes":
        return bytes(tensors[value].tolist())
    return {key: decode(entry, tensors) for key, entry in x.items()}


def describe(tensor: Tensor) -> dict:
    """Dtype, shape, and the axes from the slowest to the fastest in memory."""
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "order": _order(tensor)}


def _order(tensor):
    """Sums and transforms may round differently in another order of axes in memory: it is part of the state."""
    return sorted(range(tensor.ndim), key=lambda axis: (-tensor.stride(axis), axis))


def to_bytes(tensor: Tensor) -> memoryview:
    """The numbers in the order of memory."""
    flat = tensor.cpu().permute(_order(tensor)).contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())


def from_bytes(data: memoryview, entry: dict) -> Tensor:
    """A tensor of its own memory, whose axes lie as they did."""
    dtype, shape, order = DTYPES[entry["dtype"]], entry["shape"], entry["order"]
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size != entry["bytes"] or sorted(order) != list(range(len(shape))) or not 0 <= entry["offset"] <= len(data) - size:
        raise ValueError(f"a tensor of shape {shape} in {entry['bytes']} bytes")
    stored = torch.empty([shape[axis] for axis in order], dtype=dtype)
    if count:
        part = np.frombuffer(data, dtype=np.uint8, count=size, offset=entry["offset"])
        stored.reshape(-1).view(torch.uint8).numpy()[:] = part
    return stored.permute([order.index(axis) for axis in range(len(shape))])
