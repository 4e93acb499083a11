"""The rooms of the house: who may import whom."""

import ast
import pathlib
import subprocess
import sys

import pytest

import torchmag

ROOT = pathlib.Path(torchmag.__file__).parent

# Each room may import from itself and from the rooms on earlier lines.
ORDER = (
    {"banded", "device", "transforms"},
    {"allocator", "bar", "compiled", "constants", "dense", "errors", "native", "sealed"},
    {"checkpoint"},
    {"mesh"},
    {"layout", "forms", "noise", "geometry", "samples"},
    {"parameters", "midpoints", "quadrature", "alias", "assembly", "convolution"},
    {"bands"},
    {"stencils"},
    {"fluxes", "local"},
    {"magnet"},
    {"kernel", "term"},
    {"staggered"},
    {"energy", "torque"},
    {"surface"},
    {"energies", "torques", "observables", "thermal"},
    {"llg"},
    {"solvers"},
    {"modes"},
    {"states", "design", "sweep"},
    {"sampling"},
    {"io", "plot", "testing"},
    {"dataset"},
    {"loggers"},
    {"simulation"},
    {"ubermag"},
    {"cases", "bench", "mx3"},
    {"cli_bench", "cli_files", "cli_mx3"},
    {"cli"},
    {"__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}
LEAVES = {
    "io",
    "plot",
    "states",
    "design",
    "sweep",
    "sampling",
    "dataset",
    "testing",
    "bench",
    "cli",
    "cli_bench",
    "cli_files",
    "cli_mx3",
    "cases",
    "mx3",
    "__main__",
    "checkpoint",
    "loggers",
    "simulation",
    "ubermag",
}
# What a leaf may import of the other leaves.
FRONT_ENDS = {
    "cli": LEAVES,
    "cli_files": {"io", "plot"},
    "cli_bench": {"bench"},
    "cases": {"states", "io", "plot"},
    "testing": {"states"},
    "__main__": {"cli"},
    "loggers": {"io"},
    "simulation": {"checkpoint"},
    "dataset": {"io", "sampling", "sweep"},
    "ubermag": {"simulation"},
    "cli_mx3": {"mx3"},
}
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def modules(tree):
    """(module, line) of every import in a file or function, absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative import"
            if node.module == "torchmag":
                # from torchmag import layout: each name is a room.
                yield from ((f"torchmag.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def rooms_imported(path):
    for module, line in modules(ast.parse(path.read_text())):
        first, _, rest = module.partition(".")
        if first == "torchmag":
            yield rest.partition(".")[0], line


def test_every_room_has_its_place():
    assert {room(path) for path in FILES} <= set(RANK)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    here = room(path)
    for there, line in rooms_imported(path):
        where = f"{path.relative_to(ROOT)}:{line}"
        if there not in RANK:
            # `import torchmag as tm`: for what stands at the front only.
            assert here in LEAVES, f"{where} imports torchmag.{there} from its public names"
        elif there != here:
            assert RANK[there] < RANK[here], f"{where}: {here} imports {there}, which comes after it"
            if there in LEAVES:
                assert there in FRONT_ENDS.get(here, ()), f"{where}: {here} imports the leaf {there}"


def test_one_room_asks_for_cuda():
    asking = [path.name for path in FILES if "is_cuda" in path.read_text()]
    assert asking == ["device.py"]


def test_one_room_knows_how_to_convolve():
    """Fields on the grid are transformed there; what else is transformed are signals in time, design variables and a preconditioner."""
    others = {"cases/waves.py", "design/density.py", "observables.py", "solvers/precondition.py"}
    found = {str(path.relative_to(ROOT)) for path in FILES if "torch.fft" in path.read_text() and room(path) != "convolution"}
    assert found == others


def test_forms_know_no_tensors():
    for path in (ROOT / "forms").glob("*.py"):
        assert not {module.partition(".")[0] for module, _ in modules(ast.parse(path.read_text()))} & {"torch", "torchdiffeq"}, (
            path.name
        )


def test_only_forms_and_the_kernel_know_sympy():
    for path in FILES:
        if room(path) not in ("forms", "testing"):
            assert "sympy" not in {module.partition(".")[0] for module, _ in modules(ast.parse(path.read_text()))}, path.name


def test_the_package_names_only_what_is_public():
    for name in ("states", "observables", "solvers"):
        assert name in {there for there, _ in rooms_imported(ROOT / "__init__.py")}
    forbidden = {"plot", "cli", "testing", "cases", "__main__"}
    assert not forbidden & {there for there, _ in rooms_imported(ROOT / "__init__.py")}


def test_no_star_imports_and_no_imports_in_functions():
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            # The command line starts fast: each command imports what it needs.
            if room(path) in ("cli", "cli_bench", "cli_files", "cli_mx3"):
                continue
            if isinstance(node, ast.ImportFrom):
                assert "*" not in {alias.name for alias in node.names}, path.name
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = {module for module, _ in modules(node)}
                # matplotlib, and what a front end may not need: the files' formats (h5py).
                lazy = ("matplotlib", "torchmag.io", "torchmag.plot") if room(path) in FRONT_ENDS else ("matplotlib",)
                assert all(name.startswith(lazy) for name in names), f"{path.name}: {node.name} imports {names}"


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout.strip()


def test_importing_needs_neither_matplotlib_nor_h5py():
    code = "import sys, torchmag; print([name for name in ('matplotlib', 'h5py') if name in sys.modules])"
    assert run(code) == "[]"


def test_importing_needs_nothing_of_ubermag():
    names = "('discretisedfield', 'micromagneticmodel', 'ubermagtable', 'torchmag.ubermag')"
    assert run(f"import sys, torchmag; print([name for name in {names} if name in sys.modules])") == "[]"


def test_importing_changes_no_global_state():
    code = """
import logging, os, random, torch, torchdiffeq
def state():
    return (torch.get_default_dtype(), torch.initial_seed(), random.getstate(), dict(os.environ), logging.getLogger().handlers[:],
            torch.is_grad_enabled(), torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
            torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32)
before = state()
import torchmag
print(before == state())
"""
    assert run(code) == "True"


def test_importing_is_fast():
    code = """
import time
start = time.process_time()
import torch, sympy, torchdiffeq
between = time.process_time()
import torchmag
print((time.process_time() - between) / (between - start))
"""
    # Against what it needs, in processor time: seconds also measure the machine and its neighbours.  It takes 0.11; matplotlib alone
    # would add 0.2.
    assert min(float(run(code)) for _ in range(3)) < 0.15
