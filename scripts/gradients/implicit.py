"""The gradient of an equilibrium beside differences of the equilibrium."""

import torch

import torchmag as tm
from gradients.differences import ridders

MESH = tm.Mesh((8, 5), (8e-9, 8e-9, 3e-9))
STEPS = [0.08 / 2**k for k in range(4)]


def equation():
    magnet = tm.Magnet(MESH, torch.full(MESH.cells, 8e5))
    energy = tm.Sum(
        tm.Exchange(magnet, torch.full(MESH.cells, 1.3e-11)),
        tm.Demag(magnet),
        tm.UniaxialAnisotropy(magnet, torch.full(MESH.cells, 1e5), (0, 0.6, 0.8)),
        tm.BulkDMI(magnet, torch.full(MESH.cells, 1e-3)),
        tm.Zeeman(magnet, torch.tensor([3e4, 2e4, 0.0]).reshape(3, 1, 1)),
    )
    return tm.LLG(energy, 0.1, torques=[tm.Slonczewski(magnet, 3e10, (0.0, 0.0, 1.0), 0.4, d=3e-9)])


def minimized(llg, m0, params):
    return tm.minimize(llg.energy, m0, params=params, tolerance=1e-11)


def relaxed(llg, m0, params):
    """With a torque, so that the linear system is not symmetric."""
    return tm.relax(llg, m0, params={f"energy.{name}": value for name, value in params.items()}, tolerance=1e-11)


def section(options):
    """Lines of the table."""
    llg = equation()
    values, draw = llg.prepare()["energy"], torch.Generator().manual_seed(1)
    base = {"magnet.Ms": values["magnet"]["Ms"], "exchange.A": values["exchange"]["A"], "bulk_dmi.D": values["bulk_dmi"]["D"]}
    base |= {"uniaxial_anisotropy.Ku": values["uniaxial_anisotropy"]["Ku"], "zeeman.H": values["zeeman"]["H"]}
    cotangent = torch.randn(3, *MESH.nodes, generator=draw)
    directions = {name: torch.randn(value.shape, generator=draw) for name, value in base.items()}
    yield f"Film of {MESH.n[0]} x {MESH.n[1]} cells, a random direction in the maps of each parameter; target 1e-5."
    yield ""
    yield "| equilibrium | " + " | ".join(base) + " |"
    yield "|---" * (len(base) + 1) + "|"
    for name, equilibrium in (("`minimize`", minimized), ("`relax`, with a spin torque", relaxed)):
        scales = {role: torch.ones_like(value).requires_grad_() for role, value in base.items()}
        m = equilibrium(llg, tm.uniform(MESH, (1, 0.2, 0.1)), {role: value * scales[role] for role, value in base.items()})
        slopes = dict(zip(base, torch.autograd.grad((m * cotangent).sum(), list(scales.values()))))
        found = _slopes(equilibrium, llg, m.detach(), base, directions, cotangent)
        errors = [abs(float((slopes[role] * directions[role]).sum()) / found[role] - 1) for role in base]
        yield f"| {name} | " + " | ".join(f"{error:.0e}" for error in errors) + " |"


def _slopes(equilibrium, llg, m, base, directions, cotangent):
    """By differences along the direction of each parameter; all steps of all parameters as one batch."""
    h = torch.tensor(STEPS)
    steps = torch.block_diag(*[torch.cat([h, -h]).unsqueeze(0)] * len(base))  # (parameters, samples)
    wide = lambda x, like: x.reshape(-1, *(1,) * like.ndim)
    params = {role: value * (1 + wide(s, value) * directions[role]) for s, (role, value) in zip(steps, base.items())}
    with torch.no_grad():
        found = (equilibrium(llg, m, params) * cotangent).flatten(1).sum(1).reshape(len(base), 2, -1)
    rows = ((found[:, 0] - found[:, 1]) / (2 * h)).tolist()
    return {role: ridders(STEPS, row, 1e-12)[0] for role, row in zip(base, rows)}
