"""A data set for a surrogate: what becomes of a small film within 100 ps of a field, 10,000 times.

    python examples/switching_dataset.py                       10,000 simulations of 32 x 8 cells, some minutes
    python examples/switching_dataset.py --quick               64 of them
    python examples/switching_dataset.py --processes 4         in four processes

Stopped, or killed, it goes on where it was when it is started again.
"""

import argparse
import time

import torch

import torchmag as tm

MESH = tm.Mesh((32, 8), dx=(10e-9, 10e-9, 3e-9))


def switched(H, angle, alpha, seed, tolerance=1e-3):
    """m (B, 3, 33, 9) and its average (B, 3) after 100 ps in a field (A/m, rad from -x in the plane), from noise about +x."""
    film = tm.Magnet(MESH, Ms=8e5)
    field = torch.stack([-H * angle.cos(), H * angle.sin(), 0 * H], -1).reshape(-1, 3, 1, 1)
    energy = tm.Exchange(film, A=1.3e-11) + tm.Demag(film) + tm.Zeeman(film, field)
    noise = [torch.randn(3, 1, 1, generator=torch.Generator().manual_seed(s)) for s in seed.tolist()]
    start = torch.nn.functional.normalize(tm.uniform(MESH, (1, 0, 0)) + 0.05 * torch.stack(noise), dim=-3)
    options = {"method": "bosh3", "rtol": tolerance, "atol": tolerance, "compile": False}
    m = tm.solve(tm.LLG(energy, alpha.reshape(-1, 1, 1)), start, [0, 100e-12], **options)[-1]
    return {"m": m, "average": tm.average(m, film)}


def main(count, path, batch=64, processes=None):
    """The data set, and the seconds it took."""
    points = tm.LatinHypercube({"H": (2e4, 8e4), "angle": (0.0, 1.5), "alpha": (0.01, 0.1)}, count, seed=1, log="alpha")
    start = time.perf_counter()
    data = tm.dataset(switched, points, path, batch=batch, shard=4 * batch, processes=processes, seed=10**6)
    return data, time.perf_counter() - start


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--quick", action="store_true")
    options.add_argument("--count", type=int, default=10_000)
    options.add_argument("--path", default="switching")
    options.add_argument("--processes", type=int)
    given = options.parse_args()
    data, seconds = main(64 if given.quick else given.count, given.path, processes=given.processes)
    print(f"{data}\n{len(data)} simulations in {seconds:.0f} s: {len(data) / seconds:.0f} a second")
    for batch in torch.utils.data.DataLoader(data, batch_size=1000, shuffle=True):
        print(f"{float((batch['average'][:, 0] < 0).float().mean()):.1%} of {len(batch['H'])} have turned")
