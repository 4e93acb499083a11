"""Quantities as columns."""

import itertools

import torch
from torch import Tensor


def columns(values: dict[str, Tensor]) -> dict[str, float]:
    """Numbers by column name: a vector is mx, my, mz; a batch has its sample's number behind, m_0x ..., E_0 ..."""
    found = {}
    for name, value in values.items():
        value = torch.as_tensor(value).detach().cpu().double()
        vector = value.ndim > 0 and value.shape[-1] == 3
        batch = value.shape[: value.ndim - vector]
        for index in itertools.product(*map(range, batch)):
            sample = "".join(f"_{number}" for number in index)
            if vector:
                found |= {f"{name}{sample}{axis}": number for axis, number in zip("xyz", value[index].tolist())}
            else:
                found[f"{name}{sample}"] = value[index].item()
    return found
