"""Fit exchange, anisotropy and damping to a resonance spectrum of standing spin waves.

A film of 80 nm in a field in the plane is struck by a pulse of 10 ps at one surface; m of that surface rings at the frequencies of
its standing waves, f_p = gamma / (2 pi) sqrt[(H + D k^2)(H + Ms - H_k + D k^2)], k = p pi / L: their distance tells A, their
height Ku, their width alpha.  Three fields are one batch.  Narrow lines that do not overlap attract nobody: the fit begins with
lines broadened by a fast decaying window and ends with those measured.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import torchmag as tm

SI = dict(dtype=torch.float64)
FIELDS = torch.tensor([0.05, 0.10, 0.15], **SI)  # T
FREQUENCIES = torch.linspace(1e9, 30e9, 117, **SI)
TRUE = {"A": 1.3e-11, "Ku": 1.2e5, "alpha": 0.015}  # J/m, J/m^3


def film(A, Ku, alpha, n):
    """The equation in the three fields: x is the normal, fields lie along z, the pulse along y."""
    mesh = tm.Mesh((n,), dx=(80e-9 / n, 1e-3, 1e-3))
    body = tm.Magnet(mesh, Ms=8e5, **SI)
    bias = torch.zeros(3, 3, 1, **SI)
    bias[:, 2, 0] = FIELDS / tm.mu_0
    depth = torch.exp(-tm.positions(mesh, **SI)[0] / 20e-9)
    strike = torch.zeros(3, n + 1, **SI)
    strike[1] = 10e-3 / tm.mu_0 * depth
    H = lambda t: bias + strike * torch.exp(-(((t - 30e-12) / 10e-12) ** 2))
    energy = tm.Exchange(body, A) + tm.UniaxialAnisotropy(body, Ku, axis=(1, 0, 0)) + tm.Demag(body) + tm.Zeeman(body, H)
    return tm.LLG(energy, alpha)


def ringing(llg, t):
    """m_y of the struck surface: (T, 3 fields)."""
    return tm.solve(llg, tm.uniform(llg.mesh, (0, 0, 1), **SI), t)[:, :, 1, 0]


def main(n=16, T=1e-9, evaluations=8, decays=(0.15, 0.4, torch.inf), noise=0.02):
    """Relative errors of the parameters; |spectra| (117, 3 fields) as seen, of the guess, of the fit."""
    t = torch.arange(0, T, 10e-12, **SI)
    with torch.no_grad():
        clean = ringing(film(**TRUE, n=n), t)
    seen = clean + noise * clean.abs().max() * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), **SI)
    found = {name: tm.Positive(value * guess, **SI) for (name, value), guess in zip(TRUE.items(), (0.75, 1.4, 1.5))}
    llg, spectrum = film(**found, n=n), tm.Spectrum(t, FREQUENCIES)
    spectra = [spectrum(seen), spectrum(ringing(llg, t))]

    def fit(window):
        search = torch.optim.LBFGS(llg.parameters(), max_iter=evaluations, max_eval=evaluations, line_search_fn="strong_wolfe")
        target = spectrum(window * seen)

        def misfit():
            search.zero_grad()
            value = (spectrum(window * ringing(llg, t)) - target).abs().square().sum() / target.abs().square().sum()
            value.backward()
            return value

        search.step(misfit)

    for decay in decays:
        fit(torch.exp(-t / (decay * T))[:, None])
    errors = {name: module().item() / TRUE[name] - 1 for name, module in found.items()}
    print(", ".join(f"{name} = {found[name]().item():.4g} ({error:+.1%})" for name, error in errors.items()))
    return errors, [s.detach().abs() for s in (*spectra, spectrum(ringing(llg, t)))]


if __name__ == "__main__":
    _, spectra = main()
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.2), layout="constrained", sharey=True)
    for ax, field, *lines in zip(axes, FIELDS, *(s.T for s in spectra)):
        for line, style, label in zip(lines, ("k.", "C1--", "C0-"), ("measured", "first guess", "fit")):
            ax.semilogy(FREQUENCIES / 1e9, line, style, markersize=3, label=label)
        ax.set(xlabel="frequency (GHz)", title=f"{1e3 * field:.0f} mT")
    axes[0].set(ylabel="$|m_y|$ of the surface")
    axes[0].legend()
    figure.savefig(Path(*sys.argv[1:] or ".") / "resonance_fit.png", dpi=150)
