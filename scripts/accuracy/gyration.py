"""Frequency at which a vortex turns around the centre of 100 x 100 x 10 nm, after a field of 5 mT in the plane is taken away; no figure."""

import math

import numpy as np
import report
import torch
from vortex import EDGE, film

import torchmag as tm

COUNTS, FINE = (14, 20, 28), 40
SPAN = 2e-9


def frequency(scheme, n):
    """Hz, from the phase of the mean m over time."""
    energy, start = film(scheme, n)
    field = tm.Zeeman(energy.magnet, (5e-3 / tm.mu_0, 0.0, 0.0))
    m = tm.minimize(energy + field, start, tolerance=1e-6)
    times = torch.linspace(0, SPAN, 201)
    with torch.no_grad():
        states = tm.solve(tm.LLG(energy, alpha=0.01), m, times, method="gyro5", rtol=1e-5, atol=1e-5)
    mean = tm.average(states, energy.magnet)[20:].numpy()
    phase = np.unwrap(np.arctan2(mean[:, 1], mean[:, 0]))
    return abs(float(np.polyfit(times[20:].numpy(), phase, 1)[0])) / (2 * math.pi)


def main(redraw):
    if not redraw:
        limit = frequency("order 6", FINE)
        print("limit, Hz:", limit, flush=True)
        rows = []
        for n in COUNTS:
            for scheme in report.computed:
                found = frequency(scheme, n)
                row = {"h": 1e9 * EDGE / n, "scheme": scheme, "value": found, "limit": limit}
                rows.append({**row, "error": 100 * (found / limit - 1)})
        report.save("gyration", rows)
    rows = report.load("gyration")
    report.pivot(rows, ["h"])
