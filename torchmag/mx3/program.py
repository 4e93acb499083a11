"""What a script does, as a torchmag program: `--python`.

Runs, relaxations and minimisations are written down and not done: a script that decides by what it reads off m takes the branch of the
state before.
"""

import math

import numpy as np

from torchmag.mx3.script_error import Unsupported
from torchmag.mx3.syntax import Binary, Call, Literal, Name, Unary

HEAD = """\
import math

import numpy as np
import torch

import torchmag as tm

torch.set_default_dtype(torch.float64)
"""
TORCH = {
    "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "log10", "log2", "sqrt", "abs", "floor", "ceil", "erf", "erfc", "asin",
    "acos", "atan", "expm1", "log1p", "exp2", "trunc",
}  # fmt: skip


class Record:
    """Gathers the program line by line; does nothing unless it is `on`."""

    def __init__(self, world):
        self.world, self.on, self.lines, self.body = world, False, [], None
        self.made, self.files = {}, 0

    def wrap(self, kind: str, call):
        """A function of a script that moves m, or, with `on`, what writes its line."""
        return getattr(self, kind) if self.on else call

    def program(self) -> str:
        """The text."""
        return "\n".join([HEAD, *self.lines])

    def state(self, configuration) -> None:
        """m was set."""
        if self.on:
            self._mesh()
            self.lines.append(f"m = {configuration.program or self._kept(self.world.nodal_m(), 'm')}")

    def run(self, duration: float) -> None:
        """Run(duration)."""
        world, runner = self.world, self.world.runner
        self._equation()
        start, end = world.t, world.t + duration
        options = f'method="gyro5", rtol=0.0, atol={runner.max_err!r}'
        if runner.fix_dt:
            options = f"step={runner.fix_dt!r}"
        period = world.schedule.entries.get("table", [0])[0]
        if period and not runner.fix_dt:
            count = max(1, round(duration / period))
            self.lines += [
                f"path = tm.solve(llg, m, torch.linspace({start!r}, {end!r}, {count + 1}, dtype=torch.float64), {options})",
                "m = path[-1]",
                f'with tm.io.Table("table_{self.files}.csv", {{"t": "s", "mx": "", "my": "", "mz": ""}}) as table:',
                f"    for t, (mx, my, mz) in zip(torch.linspace({start!r}, {end!r}, {count + 1}, dtype=torch.float64), tm.average(path, film)):",
                "        table.append(t=float(t), mx=float(mx), my=float(my), mz=float(mz))",
            ]
            self.files += 1
        else:
            self.lines.append(f"m = tm.solve(llg, m, [{start!r}, {end!r}], {options})[-1]")
        world.t = end

    def steps(self, count: int) -> None:
        """Steps(count)."""
        if not self.world.runner.fix_dt:
            raise Unsupported(
                "a number of free steps: --python writes Steps with FixDt only; torchmag would need to end by it", name="Steps"
            )
        self.run(count * self.world.runner.fix_dt)

    def run_while(self, condition) -> None:
        """RunWhile(condition)."""
        raise Unsupported(
            "a condition on what is not computed: --python would need torchmag's tm.Simulation.run(stop=...)", name="RunWhile"
        )

    def relax(self) -> None:
        """Relax()."""
        self._equation()
        torques = bool(self._torques())
        target = "tm.LLG(llg.energy, llg.alpha)" if torques else "llg"
        self.lines.append(f"m = tm.relax({target}, m)")

    def minimize(self) -> None:
        """Minimize()."""
        self._equation()
        self.lines.append("m = tm.minimize(llg.energy, m)")

    def save(self, quantity, name: str) -> None:
        """A field that is saved."""
        known = quantity is self.world.m
        self._equation()
        self.lines.append(f'tm.io.write_ovf("{name}", m, film)' if known else f"# {quantity.name}: {name}")

    def _define(self, name, text):
        """Write a definition if it is new; whether it was."""
        if self.made.get(name) == text:
            return False
        self.made[name] = text
        self.lines.append(f"{name} = {text}")
        return True

    def _mesh(self):
        mesh = self.world.grid.mesh
        new = self._define("mesh", f"tm.Mesh({mesh.n}, dx={mesh.dx}, origin={mesh.origin}, pbc={mesh.pbc})")
        if new:
            self.made = {"mesh": self.made["mesh"]}
        return new

    def _equation(self):
        """All that the next call needs."""
        world, p = self.world, self.world.parameters
        self._mesh()
        ids = world.regions.ids
        if bool((ids != ids.flatten()[0]).any()) and self.made.get("ids") != world.regions.history:
            self.made["ids"] = list(world.regions.history)
            self.lines.append(f"ids = {self._kept(ids.reshape(world.grid.mesh.cells), 'regions')}")
        body = f"Ms={self._value('msat')}"
        if not world.geometry.whole:
            shape = self.body.program if self.body is not None and world.geometry.smooth == 0 else None
            fill = (
                f"{shape}.mask(mesh)"
                if shape
                else self._kept(world.geometry.fill.reshape(world.grid.mesh.cells), "fill", world.geometry.shape)
            )
            body += f", fraction={fill}"
        new = self._define("film", f"tm.Magnet(mesh, {body}, order={world.order})")
        if p["msat"].is_zero:
            raise Unsupported("Msat is zero everywhere: torchmag would need a magnetic cell", name="Msat")
        terms = self._terms()
        options = [f"gamma={world.gamma!r} * tm.mu_0", *self._torques()]
        options += [] if world.precess else ["precession=False"]
        if not p["temp"].is_zero:
            options.append(f"temperature=tm.ThermalField(film, T={self._value('temp')}, seed={world.thermal_seed})")
        if not p["frozenspins"].is_zero or world.custom_fields or world.exchange_pairs or world.dmi_pairs:
            raise Unsupported(
                "frozen spins, fields of one's own and couplings of regions: --python would need a form for what torchmag does with them"
            )
        text = f"tm.LLG({' + '.join(terms)}, alpha={self._value('alpha')}, {', '.join(options)})"
        if new:
            self.made.pop("llg", None)
        self._define("llg", text)

    def _terms(self):
        world, p, terms = self.world, self.world.parameters, []
        on = lambda *names: any(not p[name].is_zero for name in names)
        if on("aex"):
            terms.append(f"tm.Exchange(film, A={self._value('aex')})")
        if on("dind"):
            terms.append(f"tm.InterfaceDMI(film, D={self._value('dind', -1.0)}, normal=(0, 0, 1))")
        if on("dbulk"):
            terms.append(f"tm.BulkDMI(film, D={self._value('dbulk')})")
        if on("ku1", "ku2") and on("anisu"):
            terms.append(
                f"tm.UniaxialAnisotropy(film, Ku={self._value('ku1')}, axis={self._value('anisu')}, Ku2={self._value('ku2')})"
            )
        if on("kc1", "kc2", "kc3") and on("anisc1") and on("anisc2"):
            constants = ", ".join(f"K{name[1:]}={self._value(name)}" for name in ("kc1", "kc2", "kc3"))
            terms.append(f"tm.CubicAnisotropy(film, axis1={self._value('anisc1')}, axis2={self._value('anisc2')}, {constants})")
        strain = [self._value(name) for name in ("exx", "eyy", "ezz", "eyz", "exz", "exy")]
        if on("exx", "eyy", "ezz", "eyz", "exz", "exy") and on("b1", "b2"):
            terms.append(f"tm.Magnetoelastic(film, strain=({', '.join(strain)}), B1={self._value('b1')}, B2={self._value('b2')})")
        if world.enable_demag:
            terms.append("tm.Demag(film)")
        if on("b_ext") or not terms:
            terms.append(f"tm.Zeeman(film, {self._value('b_ext', unit=' / tm.mu_0')})")
        return terms

    def _torques(self):
        world, p, found = self.world, self.world.parameters, []
        if p["j"].is_zero:
            return []
        same = p["j"].uniform()
        if same is None or p["j"].depends_on_time:
            raise Unsupported("a current that varies: --python would need a map or function of it", name="J")
        if not world.no_zhang_li and any(same[: world.grid.mesh.dim]):
            found.append(f"tm.ZhangLi(film, j={tuple(same)}, P={self._value('pol')}, xi={self._value('xi')})")
        if not world.no_slonczewski and same[2] and not p["fixedlayer"].is_zero:
            d = "" if p["freelayerthickness"].is_zero else f", d={self._value('freelayerthickness')}"
            found.append(
                f"tm.Slonczewski(film, J={same[2]!r}, p={self._value('fixedlayer')}, P={self._value('pol')}, Lambda={self._value('lambda')}, "
                f"eps_prime={self._value('epsilonprime')}{d}, side={world.fixed_layer_side})"
            )
        return [f"torques=[{', '.join(found)}]"] if found else []

    def _value(self, name, factor=1.0, unit=""):
        """A parameter as text."""
        p = self.world.parameters[name]
        if p.masks:
            raise Unsupported(f"a mask of {p.name}: --python would need a file for it", name=p.name)
        if p.functions:
            thunks = {id(thunk): thunk for thunk in p.functions.values()}
            if len(thunks) > 1 or len(p.functions) < len(p.table):
                raise Unsupported(
                    f"{p.name} as a function of time by region: --python would need a map of functions", name=p.name
                )
            (thunk,) = thunks.values()
            return f"lambda t: {factor!r} * {_text(thunk.node, thunk)}{unit}".replace("1.0 * ", "")
        rows = [[factor * v + 0.0 for v in row] for row in p.at_time().tolist()]
        same = p.uniform()
        if same is not None:
            same = [factor * v + 0.0 for v in same]
            if p.components == 1:
                return f"{same[0]!r}{unit}"
            return f"({', '.join(f'{v!r}{unit}' for v in same)})"
        present = self.world.regions.ids.unique().tolist()
        if p.components == 1:
            return f"tm.by_region(ids, {{{', '.join(f'{i}: {rows[i][0]!r}' for i in present)}}}){unit}"
        if name == "b_ext":
            raise Unsupported("B_ext by region: --python would need a map of nodes", name="B_ext")
        planes = ", ".join(f"tm.by_region(ids, {{{', '.join(f'{i}: {rows[i][c]!r}' for i in present)}}})" for c in range(3))
        return f"torch.stack(({planes}))"

    def _kept(self, values, name, key=None):
        """An array in a file beside the program, as an expression."""
        if key is not None and self.made.get(("file", name)) is key:
            return self.made["file text", name]
        file = f"{name}{self.files}.npy"
        self.files += 1
        path = self.world.files.place(file)
        np.save(path, values.cpu().numpy())
        text = f'torch.from_numpy(np.load("{path.as_posix()}"))'
        self.made["file", name], self.made["file text", name] = key, text
        return text


def _text(node, thunk):
    """An expression of the script in Python's syntax: numbers, t, arithmetic, Go's functions."""
    kept = {cell.name.lower(): value for cell, value in thunk.kept}
    if isinstance(node, Literal) and isinstance(node.value, int | float):
        return repr(node.value)
    if isinstance(node, Name):
        if node.name in kept and isinstance(kept[node.name], int | float):
            return repr(kept[node.name])
        known = {"t": "t", "pi": repr(math.pi), "mu0": "tm.mu_0"}
        if node.name in known:
            return known[node.name]
    if isinstance(node, Unary):
        return f"({node.operator}{_text(node.operand, thunk)})"
    if isinstance(node, Binary) and node.operator in "+-*/":
        return f"({_text(node.left, thunk)} {node.operator} {_text(node.right, thunk)})"
    if isinstance(node, Call) and isinstance(node.function, Name):
        arguments = [_text(argument, thunk) for argument in node.arguments]
        if node.function.name in TORCH:
            return f"torch.{node.function.name}(torch.as_tensor({arguments[0]}))"
        if node.function.name == "pow":
            return f"({arguments[0]}) ** ({arguments[1]})"
        if node.function.name == "vector":
            return f"torch.stack([torch.as_tensor({', dtype=torch.float64), torch.as_tensor('.join(arguments)}, dtype=torch.float64)])"
    raise Unsupported("this expression: --python would need a torchmag form of it", node.position)
