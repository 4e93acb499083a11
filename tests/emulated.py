"""A second device on the CPU: the tests of what is done on a GPU, for machines without one.

`DEVICE` is a device of torch's own kind for backends outside of torch ("privateuseone"), with memory of the CPU's under another name.  Every
operator that torch calls there passes through here: one that is given tensors of both sides fails as on CUDA, numbers that the host
asks for and copies between both sides are counted as waits, everything that computes as a launch.

torch sees a device as any other: autograd, torch.func, random numbers, `torch.set_default_device`, and torch.compile's tracing, which
refuses a graph that mixes devices.  Forward-mode derivatives (tensors of zeros without memory) and deep copies of memory it does not know.
`compile_backend` runs a traced graph operator by operator.
"""

import contextlib
import ctypes
import functools
from collections import Counter

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "emulated"
# The device types of DLPack.
_CPU, _EXTERNAL = 1, 12
# What is a view, or memory without numbers yet.
_FREE = {
    "view", "as_strided", "_reshape_alias", "unfold", "empty", "empty_strided", "set_", "resize_", "detach", "alias", "_conj", "view_as_real",
    "view_as_complex", "real", "imag", "_neg_view", "lift", "lift_fresh", "_unsafe_view", "t", "transpose", "permute", "expand", "select", "slice",
    "squeeze", "unsqueeze", "split", "split_with_sizes", "diagonal", "unbind", "_has_compatible_shallow_copy_type", "is_set_to", "record_stream",
}  # fmt: skip
# What the host waits for: results whose size, or whose value, it needs.
_WAITS = {
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "equal",
    "is_nonzero",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "repeat_interleave",
}
# Operators that do not take a number of the host in the place of a tensor.
_STRICT = {
    "cat",
    "stack",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "index_select",
    "gather",
    "scatter",
    "scatter_add",
    "addcmul",
    "addcdiv",
    "lerp",
    "addr",
    "dot",
}


class Counts:
    """What was done on the device.

    Attributes:
        launches: operators that compute, by name.
        waits: what the host waited for, by name.
    """

    def __init__(self):
        self.launches, self.waits = Counter(), Counter()


_open: list[Counts] = []


@contextlib.contextmanager
def counted():
    """Count what is done in this block."""
    counts = Counts()
    _open.append(counts)
    try:
        yield counts
    finally:
        _open.remove(counts)


def _relabelled(x: Tensor, kind: int) -> Tensor:
    """The same memory on the other side."""
    capsule = torch._C._to_dlpack(x)
    address = ctypes.pythonapi.PyCapsule_GetPointer
    address.restype, address.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    device = address(capsule, b"dltensor") + ctypes.sizeof(ctypes.c_void_p)
    ctypes.c_int.from_address(device).value = kind
    ctypes.c_int.from_address(device + ctypes.sizeof(ctypes.c_int)).value = 0
    return torch._C._from_dlpack(capsule)


def _there(x: Tensor) -> Tensor:
    return _relabelled(x.detach().resolve_conj().resolve_neg(), _EXTERNAL)


def _here(x: Tensor) -> Tensor:
    if x.is_conj():
        return _here(x.conj()).conj()
    return _here(torch._neg_view(x))._neg_view() if x.is_neg() else _relabelled(x, _CPU)


def _is_there(x) -> bool:
    return isinstance(x, Tensor) and x.device.type == NAME


def _fallback(operator, *args, **kwargs):
    name = operator.overloadpacket.__name__
    flat = tree_flatten((args, kwargs))[0]
    tensors = [x for x in flat if isinstance(x, Tensor)]
    copies = name in ("copy_", "_to_copy", "_copy_from", "_copy_from_and_resize")
    if not copies:
        _require_one_side(name, tensors)
    target = kwargs.get("device")
    crosses = copies and (any(not _is_there(x) for x in tensors) or (target is not None and torch.device(target).type != NAME))
    waits = name in _WAITS or (crosses and not (kwargs.get("non_blocking") or (len(args) > 2 and args[2])))
    waits = waits or (name in ("index", "index_put_", "_index_put_impl_") and any(x.dtype == torch.bool for x in tensors[1:]))
    for counts in _open:
        if waits:
            counts.waits[name] += 1
        if name not in _FREE and name not in _WAITS:
            counts.launches[name] += 1
    seen = {}

    def alias(x):
        if not _is_there(x):
            return x
        found = _here(x)
        seen[id(found)] = x, found
        return found

    to_cpu = lambda x: alias(x) if isinstance(x, Tensor) else torch.device("cpu") if isinstance(x, torch.device) else x
    own_args, own_kwargs = tree_map(to_cpu, (args, kwargs))
    with torch.no_grad():
        try:
            found = operator(*own_args, **own_kwargs)
        except RuntimeError as error:
            # A number in the place of a tensor, as torch hands it on.
            if "Expected a value of type 'Tensor'" not in str(error):
                raise
            found = operator.overloadpacket(*own_args, **own_kwargs)
    if name == "_to_copy" and target is not None and torch.device(target).type != NAME:
        return found.clone() if any(found is x for _, x in seen.values()) else found
    if name == "copy_" and not _is_there(args[0]):
        return args[0]
    return tree_map_only(Tensor, lambda x: seen[id(x)][0] if id(x) in seen else _there(x), found)


def _require_one_side(name, tensors):
    if not any(_is_there(x) for x in tensors):
        return
    for x in tensors:
        if not _is_there(x) and (x.ndim or name in _STRICT):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! (aten::{name}, {tuple(x.shape)})"
            )


def _copied_from(source, target, non_blocking=False):
    """What torch calls in place of copy_ where one side is a device of this kind."""
    crosses = _is_there(source) != _is_there(target)
    for counts in _open:
        if crosses and not non_blocking:
            counts.waits["copy_"] += 1
        counts.launches["copy_"] += 1
    ours = _here(target) if _is_there(target) else target
    with torch.no_grad():
        ours.copy_(_here(source) if _is_there(source) else source)
    return target


class _Module(_DummyBackendModule):
    """What torch asks of the module of a device."""

    def get_amp_supported_dtype(self):
        return [torch.float16, torch.bfloat16]

    def synchronize(self, device=None):
        for counts in _open:
            counts.waits["synchronize"] += 1


_setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
_library = torch.library.Library("_", "IMPL")
_library.fallback(_fallback, "PrivateUse1")
_aten = torch.library.Library("aten", "IMPL")
_aten.impl("_copy_from", _copied_from, "PrivateUse1")
for _key in ("Conjugate", "Negative"):  # else a copy would be asked for, by which a copy is made
    _aten.impl("_copy_from", torch.library.fallthrough_kernel, _key)


def _take(name):
    """Have an operator done here as a whole: torch would make an empty result and resize it, which memory of another's cannot be."""
    packet, _, overload = name.removeprefix("aten::").partition(".")
    operator = getattr(getattr(torch.ops.aten, packet), overload or "default")
    schema = operator._schema
    if not schema.is_mutable and not any(x.alias_info for x in (*schema.arguments, *schema.returns)):
        _aten.impl(operator._name.removeprefix("aten::"), functools.partial(_fallback, operator), "PrivateUse1")


# Those of the CPU, and of all devices those that are made so.
_has = torch._C._dispatch_has_kernel_for_dispatch_key
for _name in torch._C._dispatch_get_registrations_for_dispatch_key("CPU"):
    if (
        _name.startswith("aten::")
        and not _has(_name, "CompositeImplicitAutograd")
        and not _name.startswith(("aten::empty", "aten::_empty"))
    ):
        _take(_name)
for _name in (
    "abs",
    "argsort",
    "linspace",
    "logspace",
    "arange",
    "arange.start",
    "arange.start_step",
    "eye",
    "eye.m",
    "randperm",
):
    _take(_name)
DEVICE = torch.device(NAME, 0)


def compile_backend(graph, inputs):
    """For torch.compile(backend=...): a traced graph, run as it is; how many there are is in `graphs`."""
    graphs.append(graph)
    return graph.forward


graphs: list = []
