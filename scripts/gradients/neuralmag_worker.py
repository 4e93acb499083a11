"""NeuralMag on the film of the section peers; runs in the peer's Python, started by peers.py, answers lines of JSON on stdin.

python neuralmag_worker.py torch|torch-eager|jax FILE    FILE: m0 (nodes, 3), regions (cells), Ku and direction (regions), cotangent (nodes, 3), span
"""

import json
import os
import sys
import time

import numpy as np

backend, data = sys.argv[1], np.load(sys.argv[2])
os.environ |= {"NM_BACKEND": backend.split("-")[0], "NM_DEVICE": "cpu", "NM_DTYPE": "float64"}
os.environ["NM_TORCH_COMPILE"] = str(backend == "torch")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import neuralmag as nm  # noqa: E402  (the environment chooses its backend)

nm.logging.set_log_level(40) if hasattr(nm, "logging") and hasattr(nm.logging, "set_log_level") else None


def equation(tolerance):
    """A solver with Ku as its parameter."""
    cells = data["regions"].shape
    state = nm.State(nm.Mesh(cells, tuple(data["dx"]), (0.0, 0.0, 0.0)))
    state.material.Ms, state.material.A, state.material.alpha = (float(data[name]) for name in ("Ms", "A", "alpha"))
    state.material.Ku = nm.CellFunction(state, tensor=state.tensor(data["Ku"][data["regions"]]))
    state.material.Ku_axis = [0.0, 0.0, 1.0]
    state.m = nm.VectorFunction(state, tensor=state.tensor(data["m0"]))
    nm.ExchangeField().register(state, "exchange")
    nm.DemagField().register(state, "demag")
    nm.UniaxialAnisotropyField().register(state, "anisotropy")
    nm.TotalField("exchange", "demag", "anisotropy").register(state)
    return state, nm.LLGSolver(state, parameters=["material__Ku"], rtol=tolerance, atol=tolerance)


def with_torch(tolerance):
    """(Ku scale along the direction -> loss, -> loss and gradient)."""
    import torch
    import torch._functorch.config

    torch.set_num_threads(1)
    # The adjoint goes through one graph twice.
    torch._functorch.config.donated_buffer = False
    state, llg = equation(tolerance)
    (Ku,) = llg.parameters()
    t, weights = state.tensor([0.0, float(data["span"])]), state.tensor(data["cotangent"])
    # In each cell: a gradient of a region is the sum over it.
    base, direction = Ku.detach().clone(), state.tensor(data["direction"][data["regions"]])

    def value(s=0.0):
        with torch.no_grad():
            Ku.copy_(base * (1 + s * direction))
            return float((llg.solve(t)[-1] * weights).sum())

    def gradient():
        with torch.no_grad():
            Ku.copy_(base)
        (slope,) = torch.autograd.grad((llg.solve(t)[-1] * weights).sum(), Ku)
        return float((slope * base * direction).sum())

    return value, gradient


def with_jax(tolerance):
    """The same, each compiled as a whole."""
    import jax

    jax.config.update("jax_enable_x64", True)
    state, llg = equation(tolerance)
    llg._max_steps = 4096
    t, weights = state.tensor([0.0, float(data["span"])]), state.tensor(data["cotangent"])
    base, direction = state.tensor(data["Ku"]), state.tensor(data["direction"])
    loss = lambda Ku: (llg.solve(t, Ku[data["regions"]]).ys[-1] * weights).sum()
    compiled, slope = jax.jit(loss), jax.jit(jax.value_and_grad(loss))
    return (lambda s=0.0: float(compiled(base * (1 + s * direction)))), lambda: float((slope(base)[1] * base * direction).sum())


make = with_jax if backend == "jax" else with_torch
made = {}
for line in sys.stdin:
    request = json.loads(line)
    tolerance = request["tolerance"]
    if tolerance not in made:
        made[tolerance] = make(tolerance)
    run = made[tolerance][0 if request["what"] == "value" else 1]
    begin = time.process_time()
    found = run(*request.get("at", []))
    print(json.dumps({"found": found, "seconds": time.process_time() - begin}), file=sys.__stderr__, flush=True)
