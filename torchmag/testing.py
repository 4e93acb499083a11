"""The conformance test of an energy term, for torchmag's own and for users'.

    class TestEasyPlane(torchmag.testing.EnergyContract):
        def term(self, magnet):
            return EasyPlane(magnet, Kp=self.cells(magnet, 2e5), n=(0, 0.6, 0.8))

Run it with pytest.  Every check raises AssertionError with the numbers that differ; none uses the assert statement.
"""

import copy
import io
import pickle

import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from torchmag.constants import mu_0
from torchmag.energy import Energy
from torchmag.llg import LLG
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh

SPACING = (2e-9, 3e-9, 2.5e-9)
CUBIC = (2e-9, 2e-9, 2e-9)


class EnergyContract:
    """What every energy term must satisfy; subclass it, give `term`, and `state` if random directions do not suit.

    Attributes:
        meshes: the grids to test on.
        order: of the magnets, in space.
        polar: vector parameters that turn over in a mirror (a surface normal); other vectors are axial, like m.
        odd: scalar parameters that change sign in a mirror (the strength of a chiral interaction).
        symmetric: False for a term without rotation and mirror symmetry in its parameters.
        uniform_along_z: False for a term whose 3D form, on one layer of cells uniform along z, differs from the 2D one.
    """

    meshes = (
        Mesh((4,), SPACING),
        Mesh((3, 2), SPACING),
        Mesh((3, 2), SPACING, pbc=(1, 0, 0)),
        Mesh((2, 3, 2), SPACING),
    )
    order = 2
    polar: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    symmetric = True
    uniform_along_z = True

    def term(self, magnet: Magnet) -> Energy:
        """The term to test, on any magnet: take sizes, dtype and device from it."""
        raise TypeError(f"{type(self).__name__}: define term(self, magnet)")

    def state(self, mesh: Mesh, seed: int = 0) -> Tensor:
        """A magnetisation in float64: (3, *nodes)."""
        return torch.nn.functional.normalize(self.random((3, *mesh.nodes), seed), dim=0)

    @staticmethod
    def random(shape, seed: int) -> Tensor:
        """Normally distributed numbers in float64."""
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    def cells(self, magnet: Magnet, value: float, shape=(), seed: int = 1) -> Tensor:
        """A heterogeneous parameter, value times (1 to 1.5): (*shape, *cells), in the magnet's dtype."""
        spread = torch.rand((*shape, *magnet.mesh.cells), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return (value * (1 + 0.5 * spread)).to(magnet.reference)

    def magnet(self, mesh: Mesh, dtype=torch.float64, vacuum: bool = True) -> Magnet:
        """A heterogeneous body, its first cell empty."""
        Ms = 8e5 * (1 + 0.5 * torch.rand(mesh.cells, dtype=torch.float64, generator=torch.Generator().manual_seed(2)))
        if vacuum:
            Ms.view(-1)[0] = 0
        return Magnet(mesh, Ms.to(dtype), order=self.order)

    def test_field_is_minus_the_derivative_of_the_energy(self):
        for mesh in self.meshes:
            magnet = self.magnet(mesh)
            term = self.term(magnet)
            m = self.state(mesh).requires_grad_()
            (derivative,) = torch.autograd.grad(term.energy(m).sum(), m, materialize_grads=True)
            require_close(term.gradient(m), derivative, "gradient(m) is not the derivative of energy(m)")
            body = magnet.prepare()
            mass = body["mass"] * mesh.cell_volume * mu_0
            expected = torch.where(mass > 0, -derivative / (mass + (mass == 0)), 0.0)
            require_close(term.field(m), expected, "field(m) is not -dE/dm / (mu_0 lumped Ms)")

    def test_energy_is_the_integral_of_its_density(self):
        for mesh in self.meshes:
            term = self.term(self.magnet(mesh))
            m = self.state(mesh)
            require_equal(tuple(term.density_map(m).shape), mesh.cells, "shape of density_map")
            require_close(term.density_map(m).sum() * mesh.cell_volume, term.energy(m), "sum of density_map times cell volume")

    def test_gradcheck(self):
        for mesh in (Mesh((3,), SPACING), Mesh((2, 2), SPACING)):
            term = self.term(self.magnet(mesh))
            check_derivatives(term, self.state(mesh))

    def test_batch_is_a_loop(self):
        for mesh in self.meshes:
            term = self.term(self.magnet(mesh))
            m = torch.stack([torch.stack([self.state(mesh, seed) for seed in row]) for row in ((0, 1), (2, 3), (4, 5))])
            for method in (term.energy, term.field, term.density_map):
                looped = torch.stack([torch.stack([method(x) for x in row]) for row in m])
                require_close(method(m), looped, f"{method.__name__} of a batch is not that of its samples")

    def test_batched_parameters(self):
        for mesh in self.meshes:
            term = self.term(self.magnet(mesh))
            m = self.state(mesh)
            for name, value in tensors(term).items():
                shape = term._roles[name].kind.shape
                grid = value if value.ndim > len(shape) else value.reshape(*shape, *(1,) * mesh.dim)
                batch = torch.stack([grid, 0.5 * grid + 0.25 * grid.flip(-1)])
                got = term.energy(m, values=term.prepare({name: batch}))
                looped = [term.energy(m, values=term.prepare({name: sample})) for sample in batch]
                require_close(got, torch.stack(looped), f"energy with a batch of {name} is not that of its samples")

    def test_2d_is_3d_uniform_along_z(self):
        if not self.uniform_along_z:
            return
        flat, layer = Mesh((3, 2), SPACING), Mesh((3, 2, 1), SPACING)
        m = self.state(flat)
        thin = self.term(self.magnet(flat))
        thick = self.term(self.magnet(layer))
        in_layer = m.unsqueeze(-1).expand(3, *layer.nodes).contiguous()
        require_close(thick.energy(in_layer), thin.energy(m), "energy of one uniform layer is not that of the 2D mesh")

    def test_rotations_and_mirrors(self):
        if not self.symmetric:
            return
        mesh = Mesh((3, 3, 3), CUBIC)
        term = self.term(self.magnet(mesh))
        m = self.state(mesh)
        expected = term.energy(m)
        for name, turn in (("rotation about z", _turn_z), ("rotation about x", _turn_x), ("mirror x -> -x", self._mirror_x)):
            params = {}
            for key, value in term.prepare()["magnet"].items():
                if key in ("Ms", "fraction") and key in term.magnet._roles:
                    params[f"magnet.{key}"] = turn(value, (), key)
            for key, value in tensors(term).items():
                shape = term._roles[key].kind.shape
                grid = value if value.ndim > len(shape) else value.reshape(*shape, 1, 1, 1)
                params[key] = turn(grid, shape, key)
            got = term.energy(turn(m, (3,), "m"), values=term.prepare(params))
            require_close(got, expected, f"energy changes in a {name} of m and parameters")

    def test_float32_is_near_float64(self):
        for mesh in self.meshes:
            m = self.state(mesh)
            double, single = (self.term(self.magnet(mesh, dtype)) for dtype in (torch.float64, torch.float32))
            field, scale = double.field(m), double.field(m).abs().max()
            error = (single.field(m.float()).double() - field).abs().max()
            # 60 roundings of 2^-24 in the worst case, as many additions of neighbours of opposite sign.
            require(error <= 2e-5 * scale, f"float32 field deviates by {error / scale:.2g} of its largest value")
            if not single.energy(m.float()).isfinite():
                raise AssertionError("float32 energy is not finite")

    def test_vacuum(self):
        for mesh in self.meshes:
            magnet = self.magnet(mesh)
            term = self.term(magnet)
            outside = magnet.prepare()["mass"] == 0
            m = self.state(mesh)
            elsewhere = torch.where(outside, 0 * m, m)
            require_close(term.energy(elsewhere), term.energy(m), "energy depends on m outside the body")
            field = term.field(elsewhere)
            require(bool((field.masked_select(outside) == 0).all()), "field is not zero outside the body")
            for start in (elsewhere, torch.zeros_like(m)):
                start = start.clone().requires_grad_()
                leaves = [start, *[p.requires_grad_() for p in tensors(term).values() if p.is_leaf]]
                loss = term.energy(start) / mesh.cell_volume + (term.field(start) ** 2).sum()
                for gradient in torch.autograd.grad(loss, leaves, allow_unused=True):
                    require(gradient is None or bool(gradient.isfinite().all()), "gradient is not finite next to vacuum")

    def test_compile(self):
        mesh = self.meshes[-1]
        term = self.term(self.magnet(mesh))
        m = self.state(mesh)
        for module, arguments in ((term, (m,)), (LLG(term, alpha=0.1), (torch.zeros((), dtype=torch.float64), m))):
            torch.compiler.reset()
            compiled = torch.compile(module, fullgraph=True, backend="eager")
            require_close(compiled(*arguments), module(*arguments), f"compiled {type(module).__name__} differs")

    def test_forward_mode_and_vmap(self):
        mesh = self.meshes[-1]
        term = self.term(self.magnet(mesh))
        m, v = self.state(mesh), self.state(mesh, 1)
        _, tangent = torch.func.jvp(term.energy, (m,), (v,))
        require_close(tangent, (term.gradient(m) * v).sum(), "jvp of the energy is not gradient . v")
        batch = torch.stack([m, v])
        require_close(torch.vmap(term.field)(batch), term.field(batch), "vmap of the field differs")

    def test_copies(self):
        mesh = self.meshes[1]
        term = self.term(self.magnet(mesh))
        m = self.state(mesh)
        stored = io.BytesIO()
        torch.save(term.state_dict(), stored)
        stored.seek(0)
        restored = self.term(self.magnet(mesh))
        with torch.no_grad():
            for tensor in tensors(restored).values():
                tensor.mul_(2)
        restored.load_state_dict(torch.load(stored, weights_only=True))
        copies = {"deepcopy": copy.deepcopy(term), "pickle": pickle.loads(pickle.dumps(term)), "state_dict": restored}
        for name, other in copies.items():
            require(torch.equal(other.field(m), term.field(m)), f"field differs after {name}")

    def test_to_dtype(self):
        mesh = self.meshes[1]
        term = self.term(self.magnet(mesh))
        m = self.state(mesh)
        expected = term.field(m)
        single = term.to(torch.float32).field(m.float())
        require_equal(single.dtype, torch.float32, "dtype after .to(float32)")
        back = term.to(torch.float64).field(m)
        require(back.sub(expected).abs().max() <= 2e-5 * expected.abs().max(), "field lost after .to(float32).to(float64)")

    def _mirror_x(self, x, shape, name):
        """Mirror the grid along x; axial vectors keep their x component, polar ones the others."""
        x = x.flip(-3)
        if shape == () and name in self.odd:
            return -x
        axial = torch.tensor([1.0, -1.0, -1.0], dtype=x.dtype)
        signs = -axial if name in self.polar else axial
        for axis in range(len(shape)):
            # The derivative direction, first index of a rank-3 tensor, is polar.
            s = -axial if len(shape) == 3 and axis == 0 else signs
            x = x * s.reshape(3, *(1,) * (x.ndim - 1 - _component_axis(x, shape, axis)))
        return x


def tensors(term: Energy) -> dict[str, Tensor]:
    """The term's own parameters that are tensors, by name."""
    return {name: getattr(term, name) for name in term._roles if isinstance(getattr(term, name), Tensor)}


def check_derivatives(term: Energy, m: Tensor, *, tolerance: float = 1e-6) -> None:
    """gradcheck and gradgradcheck of the energy and gradcheck of the field, in m and in every tensor parameter.

    Everything is scaled to order one first: gradcheck on raw SI numbers passes whatever the derivative is.

    Raises:
        AssertionError: a derivative that does not agree with finite differences.
    """
    names = [*tensors(term), "magnet.Ms"]
    base = [*tensors(term).values(), term.magnet.Ms]
    base = [value.detach() for value in base]
    m = m.detach()
    energy_scale = term.gradient(m).abs().max() + term.energy(m).abs()
    field_scale = term.field(m).abs().max()
    require(bool(energy_scale > 0) and bool(field_scale > 0), "the term vanishes at this state: nothing to check")

    def values(scales):
        return term.prepare({name: value * scale for name, value, scale in zip(names, base, scales)})

    def energy(m, *scales):
        return term.energy(m, values=values(scales)) / energy_scale

    def field(m, *scales):
        return term.field(m, values=values(scales)) / field_scale

    inputs = [x.requires_grad_() for x in (m.clone(), *(torch.ones_like(value) for value in base))]
    for function, check in ((energy, gradcheck), (field, gradcheck), (energy, gradgradcheck)):
        try:
            check(function, inputs, eps=1e-5, atol=tolerance, rtol=tolerance)
        except RuntimeError as error:
            raise AssertionError(f"{check.__name__} of {function.__name__} in {['m', *names]}: {error}") from None
    # Against the derivative of the energy itself, so that a wrong field cannot pass by being consistently wrong.
    (derivative,) = torch.autograd.grad(energy(*inputs), inputs[0])
    require_close(term.gradient(m) / energy_scale, derivative, "gradient(m) is not the derivative of energy(m)")


def require(condition, message: str) -> None:
    """Raise an AssertionError unless the condition holds; works under python -O."""
    if not condition:
        raise AssertionError(message)


def require_equal(got, expected, message: str) -> None:
    """Raise an AssertionError unless got == expected."""
    require(got == expected, f"{message}: got {got}, expected {expected}")


def require_close(got: Tensor, expected: Tensor, message: str, tolerance: float = 1e-11) -> None:
    """Raise an AssertionError unless tensors agree to the tolerance, relative to the largest value."""
    scale = float(expected.detach().abs().max()) if expected.numel() else 1.0
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * scale, msg=lambda text: f"{message}: {text}")


def _component_axis(x, shape, axis):
    return x.ndim - 3 - len(shape) + axis


def _turn(x, shape, first, second):
    """A rotation by 90 degrees that takes grid axis `first` to `second`: positions, then components."""
    x = torch.rot90(x, 1, (first - 3, second - 3))
    for axis in range(len(shape)):
        at = _component_axis(x, shape, axis)
        planes = list(x.unbind(at))
        planes[first], planes[second] = -planes[second], planes[first]
        x = torch.stack(planes, at)
    return x


def _turn_z(x, shape, name):
    return _turn(x, shape, 0, 1)


def _turn_x(x, shape, name):
    return _turn(x, shape, 1, 2)


__all__ = ["EnergyContract", "check_derivatives", "require", "require_close", "require_equal", "tensors"]
