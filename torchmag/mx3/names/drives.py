"""Material parameters, excitations, switches of the physics."""

from torchmag.mx3.kinds import Setting, convert
from torchmag.mx3.values import Function

F, N = "float", "int"


def names(world) -> dict[str, object]:
    """What this room adds."""
    found = {p.name: Setting(lambda p=p: p, p.assign, live=True) for p in world.parameters.values()}
    found |= {name: switch(world, attribute, kind) for name, attribute, kind in SWITCHES}
    return found | _functions(world) | {"FIXEDLAYER_TOP": 1, "FIXEDLAYER_BOTTOM": -1}


SWITCHES = (
    ("EnableDemag", "enable_demag", "bool"), ("DoPrecess", "precess", "bool"), ("OpenBC", "open_bc", "bool"), ("GammaLL", "gamma", F),
    ("DisableZhangLiTorque", "no_zhang_li", "bool"), ("DisableSlonczewskiTorque", "no_slonczewski", "bool"),
    ("FixedLayerPosition", "fixed_layer_side", N),
)  # fmt: skip


def switch(world, attribute, kind) -> Setting:
    """An attribute of the world that makes the terms stale."""

    def assign(thunk):
        value = convert(thunk(), kind)
        if attribute == "fixed_layer_side" and value not in (1, -1):
            raise ValueError("expected FIXEDLAYER_TOP or FIXEDLAYER_BOTTOM")
        if attribute == "gamma" and not 0 <= value < float("inf"):
            raise ValueError(f"GammaLL = {value}, expected a positive number, rad/(T s)")
        setattr(world, attribute, value)
        if attribute == "enable_demag":
            world.close_thin_axes(not value)
        world.changed("terms")

    return Setting(lambda: getattr(world, attribute), assign)


def _functions(world):
    def couple(pairs, kind):
        def call(i, j, value):
            for number in (i, j):
                if not 0 <= number < 256:
                    raise ValueError(f"region {number}, expected 0 to 255")
            pairs[min(i, j), max(i, j)] = (kind, value)
            if (kind, value) == ("scale", 1.0) or i == j:
                del pairs[min(i, j), max(i, j)]
            world.changed("terms")

        return call

    def seed(value):
        world.thermal_seed, world.thermal_steps = abs(value), 0
        world.changed("terms")

    rows = (
        ("ext_ScaleExchange", couple(world.exchange_pairs, "scale"), (N, N, F)),
        ("ext_InterExchange", couple(world.exchange_pairs, "set"), (N, N, F)),
        ("ext_ScaleDind", couple(world.dmi_pairs, "scale"), (N, N, F)),
        ("ext_InterDind", couple(world.dmi_pairs, "set"), (N, N, F)),
        ("ThermSeed", seed, (N,)),
    )
    return {name: Function(name, call, kinds) for name, call, kinds in rows}
