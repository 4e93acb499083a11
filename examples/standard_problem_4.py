"""muMAG standard problem 4, field 1: relax to the s-state, switch, print when <mx> crosses zero (OOMMF: 138.5 ps)."""

import torch

import torchmag as tm


def main(n=(100, 25), T=1e-9):
    mesh = tm.Mesh(n, dx=(500e-9 / n[0], 125e-9 / n[1], 3e-9))
    film = tm.Magnet(mesh, Ms=8e5, dtype=torch.float64)
    energy = tm.Exchange(film, A=1.3e-11) + tm.Demag(film)
    m = tm.relax(tm.LLG(energy, alpha=0.02), tm.uniform(mesh, (1, 0.25, 0.1), dtype=torch.float64))

    H = torch.tensor([-24.6e-3, 4.3e-3, 0.0], dtype=torch.float64) / tm.mu_0
    llg = tm.LLG(energy + tm.Zeeman(film, H), alpha=0.02, gamma=2.211e5)
    t = torch.linspace(0, T, 1001)
    mx, my, mz = tm.average(tm.solve(llg, m, t), film).T

    crossing = t[mx < 0][0]
    print(f"<mx> crosses zero at {crossing * 1e12:.1f} ps")
    return float(crossing)


if __name__ == "__main__":
    with torch.no_grad():
        main()
