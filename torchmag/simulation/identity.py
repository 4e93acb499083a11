"""What a checkpoint belongs to."""

import hashlib

from torch import Tensor

from torchmag.checkpoint.tree import to_bytes
from torchmag.errors import CheckpointError
from torchmag.llg import LLG


def identity(llg: LLG, m: Tensor) -> dict:
    """Mesh, dtype, shape and terms by name: what must be the same for a state to make sense."""
    mesh = llg.mesh
    terms = [f"{name}: {type(term).__name__}" for name, term in llg.energy.named_terms()]
    return {
        "cells": list(mesh.n),
        "dx": list(mesh.dx),
        "origin": list(mesh.origin),
        "pbc": [float(n) for n in mesh.pbc],
        "order": llg.energy.magnet.order,
        "dtype": str(m.dtype),
        "m": list(m.shape),
        "terms": terms,
        "torques": [type(torque).__name__ for torque in llg.torques],
        "temperature": llg.temperature is not None,
    }


def require_same(title: str, own: dict, stored: dict) -> None:
    """Raise a CheckpointError with what differs: expected by the program, got from the file."""
    for name in {**own, **stored}:
        if own.get(name) != stored.get(name):
            raise CheckpointError(
                f"{title}: {name} differs: expected {_shown(own.get(name))}, got {_shown(stored.get(name))} from the file; "
                f"go on with what it was written with, or start anew elsewhere"
            )


def _shown(value):
    if isinstance(value, list) and value and isinstance(value[0], str):
        return ", ".join(value)
    return repr(tuple(value) if isinstance(value, list) else value)


def fingerprint(llg: LLG) -> dict[str, str]:
    """Parameter or buffer -> SHA-256 of its bytes; the counter of the noise, which runs, is left out."""
    state = {name: value for name, value in llg.state_dict().items() if isinstance(value, Tensor) and name != "temperature.steps"}
    return {name: digest(value) for name, value in state.items()}


def digest(tensor: Tensor) -> str:
    """SHA-256 of the numbers of a tensor."""
    return hashlib.sha256(to_bytes(tensor.detach().contiguous())).hexdigest()[:16]
