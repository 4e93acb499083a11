"""The film of SpinTorch's lens (YIG, 20 nm, 60 mT in the plane, cells of 50 nm): wavelength and group velocity of driven waves of 4 GHz; prints only.

Damon-Eshbach waves from a line source in a strip that is periodic along m.  Exact: n = 0 of Kalinikos and Slavin (1986), 467.6 nm and 392 m/s.
"""

import math

import numpy as np
import report
import torch

import torchmag as tm

LENGTH, SOURCE, H = 12e-6, 2e-6, 50e-9
FREQUENCY, SPAN, PHASES = 4e9, 30e-9, 16
MS, A, THICKNESS, FIELD = 140e3, 3.65e-12, 20e-9, 60e-3


def wave_number(frequency, order):
    """1/m, from the phase of m_x along the strip."""
    mesh = tm.Mesh((round(LENGTH / H), 1), (H, H, THICKNESS), pbc=(0, math.inf, 0))
    magnet = tm.Magnet(mesh, MS, order=order)
    x, cells = tm.positions(mesh)[0], tm.positions(mesh, "cells")[0]
    line = torch.exp(-(((x - SOURCE) / H) ** 2)) * torch.tensor([1e-4 / tm.mu_0, 0.0, 0.0]).reshape(3, 1, 1)
    bias = torch.tensor([0.0, FIELD / tm.mu_0, 0.0]).reshape(3, 1, 1)
    # The ends absorb.
    ends = ((1.5e-6 - cells) / 1.5e-6).clamp(min=0), ((cells - LENGTH + 2e-6) / 2e-6).clamp(min=0)
    alpha = (1e-4 + 0.3 * sum(end.square() for end in ends)).expand(mesh.cells)
    field = tm.Zeeman(magnet, lambda t: bias + line * torch.sin(2 * math.pi * frequency * t))
    llg = tm.LLG(tm.Exchange(magnet, A) + tm.Demag(magnet) + field, alpha)
    times = torch.cat([torch.zeros(1), SPAN - torch.arange(PHASES, 0, -1) / PHASES / frequency])
    with torch.no_grad():
        m = tm.solve(llg, tm.uniform(mesh, (0, 1, 0)), times, rtol=1e-7, atol=1e-7)[1:, 0, :, 0]
    amplitude = (m * torch.exp(-2j * math.pi * torch.arange(PHASES) / PHASES)[:, None]).sum(0).numpy()
    x = x.flatten().numpy()
    inside = (x > 3.5e-6) & (x < 9e-6)
    return abs(np.polyfit(x[inside], np.unwrap(np.angle(amplitude[inside])), 1)[0])


def main(redraw):
    rows = []
    for order in (2, 4, 6):
        low, k, high = (wave_number(f, order) for f in (0.975 * FREQUENCY, FREQUENCY, 1.025 * FREQUENCY))
        rows.append((order, 2e9 * math.pi / k, 2 * math.pi * 0.05 * FREQUENCY / (high - low)))
    report.table(("order", "wavelength, nm", "group velocity, m/s"), rows)
