"""Published problems with their reference numbers, run from the command line.

Each module is a group of cases; `torchmag validate` runs them.
"""

from torchmag.cases import (
    anisotropy,
    cell_fields,
    consistency,
    currents,
    demag,
    depinning,
    dmi,
    driven,
    elastic,
    equilibria,
    exchange,
    hopfions,
    interfaces,
    interlayer,
    kernels,
    modes,
    motion,
    nodal,
    periodic,
    precession,
    reversal,
    spin_torques,
    stability,
    switching,
    textures,
    thermal,
    walls,
    waves,
    zeeman,
)
from torchmag.cases.table import Case

MODULES = (
    demag,
    cell_fields,
    kernels,
    periodic,
    exchange,
    interfaces,
    anisotropy,
    walls,
    dmi,
    textures,
    hopfions,
    zeeman,
    currents,
    elastic,
    interlayer,
    nodal,
    consistency,
    equilibria,
    switching,
    depinning,
    precession,
    reversal,
    waves,
    modes,
    stability,
    motion,
    spin_torques,
    driven,
    thermal,
)


def groups() -> dict[str, tuple[Case, ...]]:
    """The cases by the name of their group."""
    return {module.__name__.rpartition(".")[2]: module.CASES for module in MODULES}


def every() -> tuple[Case, ...]:
    """All cases."""
    return tuple(case for cases in groups().values() for case in cases)


def choose(names) -> tuple[Case, ...]:
    """The cases of these names: "all", "fast", "slow", a group, or an id; each once, in their own order.

    Raises:
        ValueError: a name that nothing has.
    """
    known, chosen = groups(), set()
    for name in names:
        if name in ("all", "fast", "slow"):
            found = [case for case in every() if name == "all" or case.slow == (name == "slow")]
        else:
            found = known.get(name) or [case for case in every() if case.id.lower() == name.lower()]
        if not found:
            raise ValueError(
                f"no case is called {name!r}; expected all, fast, slow, a group ({', '.join(known)}) or an id of the list"
            )
        chosen |= {case.id for case in found}
    return tuple(case for case in every() if case.id in chosen)
