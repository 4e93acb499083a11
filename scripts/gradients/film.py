"""The film that memory, cost and peers are measured on."""

import torch
from torch import nn

import torchmag as tm

DX, A, MS, ALPHA = (5e-9, 5e-9, 3e-9), 1.3e-11, 8e5, 0.02


def anisotropy_map(n):
    """Ku of n x n cells, J/m^3: 1e5 with grains of a few cells, +- 30 %."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.randn(1, 1, max(2, n // 8), max(2, n // 8), generator=generator)
    return 1e5 * (1 + 0.3 * nn.functional.interpolate(coarse, size=(n, n), mode="bicubic")[0, 0])


def start(n):
    """m at the nodes, (3, n + 1, n + 1): a smooth state in motion."""
    x = torch.linspace(0, 1, n + 1)
    angle = 1.2 * torch.sin(3 * x)[:, None] + 0.8 * torch.cos(2 * x)[None, :]
    m = torch.stack([angle.cos(), 0.9 * angle.sin(), 0.4 * angle.sin()])
    return m / m.norm(dim=0)


def cotangent(n):
    """Weights of a linear loss, (3, n + 1, n + 1): a smooth weighted mean of each component."""
    x = torch.linspace(0, 1, n + 1)
    return torch.stack([1 + torch.cos(f * x)[:, None] * torch.cos(2 * x)[None, :] for f in (1, 2, 3)]) / (n + 1) ** 2


def direction(n):
    """A relative change of the Ku map, (n, n): smooth, of order one."""
    x = torch.linspace(0, 1, n)
    return 1 + 0.5 * torch.sin(5 * x)[:, None] * torch.cos(4 * x)[None, :]


def regions(n):
    """Numbers 0 ... 49 of ten by five blocks of the cells, (n, n)."""
    x = torch.arange(n)
    return (10 * x // n)[:, None] * 5 + (5 * x // n)[None, :]


def film(n, demag=True):
    """The equation of a permalloy film of n x n cells with a trainable Ku map."""
    magnet = tm.Magnet(tm.Mesh((n, n), DX), MS)
    terms = {"exchange": tm.Exchange(magnet, A)}
    if demag:
        terms["demag"] = tm.Demag(magnet)
    terms["anisotropy"] = tm.UniaxialAnisotropy(magnet, nn.Parameter(anisotropy_map(n)), (0.0, 0.0, 1.0))
    return tm.LLG(tm.Sum(**terms), ALPHA)
