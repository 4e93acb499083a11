"""The states of the global random number generators."""

import random

import numpy as np
import torch


def random_states() -> dict:
    """Of Python, NumPy and torch, each device's."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=True),
        "torch": torch.get_rng_state(),
        "cuda": list(cuda),
    }


def restore_random_states(states: dict) -> None:
    """Go on with what `random_states` found."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
