"""Wrong calls of terms, torques, temperature and geometry: the argument, what was expected, what was got, and nothing ignored."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.utils.parametrize
import torch.nn.utils.prune

import torchmag as tm
from torchmag.geometry import Sphere, from_image, regions

V, T = ValueError, TypeError
INF = math.inf
NM = (1e-9,) * 3
X, Y, Z = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def film():
    return tm.Magnet(tm.Mesh((3, 2), NM), 8e5)


def layers(spacer=0.0):
    return tm.Magnet(tm.Mesh((2, 2, 3), NM), torch.tensor([8e5, spacer, 8e5]).expand(2, 2, 3).contiguous())


def coupling(magnet=None, axis=2, planes=(1, 2)):
    return tm.InterlayerExchange(magnet or layers(), 1e-3, axis=axis, planes=planes)


def assign(thing, name, value):
    setattr(thing, name, value)


def uniaxial(axis):
    return tm.UniaxialAnisotropy(film(), 1e5, axis)


def cubic(axis1=X, axis2=Y):
    return tm.CubicAnisotropy(film(), 1e4, axis1, axis2)


def half_of_them(value, good):
    """A map over the film's cells, the first column of another value."""
    x = torch.tensor(good, dtype=torch.float64).reshape(3, 1, 1).expand(3, 3, 2).clone()
    x[:, 0] = torch.tensor(value, dtype=torch.float64)[:, None]
    return x


def body_sum():
    magnet = film()
    return tm.Exchange(magnet, 1e-11) + tm.Zeeman(magnet, X)


WRONG = {
    # Zero axes.
    "zero-uniaxial": (lambda: uniaxial((0, 0, 0)), V, r"UniaxialAnisotropy: axis has a zero vector, which has no direction; give"),
    "zero-in-one-cell": (lambda: uniaxial(half_of_them((0, 0, 0), Z)), V, r"axis has a zero vector"),
    "zero-assigned": (lambda: assign(uniaxial(Z), "axis", (0, 0, 0)), V, r"axis has a zero vector"),
    "zero-cubic-1": (lambda: cubic((0, 0, 0), Y), V, r"CubicAnisotropy: axis1 has a zero vector"),
    "zero-cubic-2": (lambda: cubic(X, (0, 0, 0)), V, r"CubicAnisotropy: axis2 has a zero vector"),
    "zero-normal": (lambda: tm.InterfaceDMI(film(), 1e-3, (0, 0, 0)), V, r"InterfaceDMI: normal has a zero vector"),
    "zero-direction": (lambda: tm.SurfaceAnisotropy(film(), 1e-3, 0, 0, (0, 0, 0)), V, r"direction has a zero vector"),
    "zero-p": (lambda: tm.Slonczewski(film(), 1e11, (0, 0, 0), 0.5), V, r"Slonczewski: p has a zero vector"),
    "zero-p-spin-orbit": (lambda: tm.SpinOrbit(film(), 1e11, (0, 0, 0), 0.5, 0), V, r"SpinOrbit: p has a zero vector"),
    # Parallel cubic axes.
    "parallel": (lambda: cubic(X, X), V, r"CubicAnisotropy: axis1 and axis2 are parallel somewhere; give two axes at right angles"),
    "antiparallel": (lambda: cubic(X, (-2, 0, 0)), V, r"CubicAnisotropy: axis1 and axis2 are parallel"),
    "parallel-in-one-cell": (lambda: cubic(X, half_of_them(X, Y)), V, r"CubicAnisotropy: axis1 and axis2 are parallel"),
    "parallel-modules": (lambda: cubic(tm.UnitVector(X, dtype=torch.float64), X), V, r"axis1 and axis2 are parallel"),
    "parallel-assigned": (lambda: assign(cubic(), "axis2", (3, 0, 0)), V, r"CubicAnisotropy: axis1 and axis2 are parallel"),
    # Planes.
    "plane-outside": (lambda: coupling(planes=(1, 9)), V, r"InterlayerExchange: planes = \(1, 9\), expected node indices from 0 to 3"),
    "plane-negative": (lambda: coupling(planes=(-3, -2)), V, r"planes = \(-3, -2\), expected node indices from 0 to 3 along axis 2"),
    "plane-fraction": (lambda: coupling(planes=(1.0, 2.0)), T, r"planes = \(1\.0, 2\.0\), expected integers: node indices"),
    "plane-bool": (lambda: coupling(planes=(False, True)), V, r"expected node indices"),
    "plane-normals": (lambda: coupling(planes=(Z, Y)), T, r"InterlayerExchange: planes = .*expected integers: node indices along axis"),
    "plane-of-two-axes": (lambda: coupling(axis=(0, 2)), V, r"axis = \(0, 2\), expected one of the mesh's axes \(0, 1, 2\)"),
    "plane-number": (lambda: coupling(planes=3), V, r"InterlayerExchange: planes = \(3,\), expected 2 node indices along axis 2"),
    "plane-three": (lambda: coupling(planes=(0, 1, 2)), V, r"InterlayerExchange: planes = \(0, 1, 2\), expected 2 node indices"),
    "plane-none": (lambda: tm.InterlayerExchange(layers(), 1e-3), V, r"InterlayerExchange: planes = \(\), expected 2 node indices"),
    "plane-same": (lambda: coupling(planes=(2, 2)), V, r"planes = \(2, 2\) holds one plane twice"),
    "plane-axis-name": (lambda: coupling(axis="z"), V, r"axis = 'z', expected one of the mesh's axes"),
    "plane-missing-axis": (lambda: coupling(film()), V, r"axis = 2, expected one of the mesh's axes \(0, 1\).*thickness"),
    "plane-J-per-cell": (
        lambda: tm.InterlayerExchange(layers(), torch.ones(2, 2, 3), axis=2, planes=(1, 2)), V, r"J has shape .* cells are \(2, 2, 1\)",
    ),
    "plane-assigned": (lambda: assign(coupling(), "planes", (0, 1)), T, r"planes is compiled in; make a new term"),
    "surface-plane": (lambda: tm.SurfaceAnisotropy(film(), 1e-3, 0, 4), V, r"SurfaceAnisotropy: planes = \(4,\), .*from 0 to 3"),
    "surface-missing-axis": (lambda: tm.SurfaceAnisotropy(film(), 1e-3), V, r"SurfaceAnisotropy: axis = 2, expected .*\(0, 1\).*divide"),
    # Touching layers.
    "touching": (lambda: coupling(layers(8e5)), V, r"InterlayerExchange: planes \(1, 2\) along axis 2 have no empty cell .*put at least one"),
    "touching-sideways": (lambda: coupling(axis=0, planes=(0, 1)), V, r"planes \(0, 1\) along axis 0 have no empty cell"),
    "touching-around": (
        lambda: coupling(tm.Magnet(tm.Mesh((3,), NM, pbc=(INF, 0, 0)), 8e5), axis=0, planes=(2, 0)), V, r"no empty cell",
    ),
    # Temperature.
    "cold": (lambda: tm.ThermalField(film(), -1.0, 1), V, r"ThermalField: T has a minimum of -1, expected >= 0"),
    "cold-in-one-cell": (lambda: tm.ThermalField(film(), half_of_them(X, X)[0] - 2, 1), V, r"T has a minimum of -1, expected >= 0"),
    "cold-assigned": (lambda: assign(tm.ThermalField(film(), 1.0, 1), "T", -2.0), V, r"T has a minimum of -2, expected >= 0"),
    "seed-float": (lambda: tm.ThermalField(film(), 1.0, 1.5), T, r"ThermalField: seed is 1\.5, expected an integer, or one per"),
    "seed-generator": (lambda: tm.ThermalField(film(), 1.0, torch.Generator()), T, r"ThermalField: seed is .*Generator.*integer"),
    "seed-assigned": (lambda: assign(tm.ThermalField(film(), 1.0, 1), "seed", torch.ones(2)), T, r"ThermalField: seed is .*integer"),
    # Boundaries.
    "true-1d": (lambda: tm.Mesh((3,), NM, pbc=(0, INF, 0)), V, r"Mesh: pbc\[1\] is infinite but the mesh has no y axis; give n an entry"),
    "true-2d": (lambda: tm.Mesh((3, 2), NM, pbc=(0, 0, INF)), V, r"Mesh: pbc\[2\] is infinite but the mesh has no z axis"),
    # A torque without a gradient direction.
    "no-gradient": (lambda: tm.ZhangLi(film(), (0, 0, 1e12)), V, r"ZhangLi: j flows along z only, .*axes x, y: .*use Slonczewski"),
    "no-gradient-assigned": (lambda: assign(tm.ZhangLi(film(), X), "j", Z), V, r"ZhangLi: j flows along z only"),
    "side": (lambda: tm.Slonczewski(film(), 1e11, X, 0.5, side=0), V, r"Slonczewski: side = 0, expected \+1 .* or -1"),
    "side-assigned": (lambda: assign(tm.Slonczewski(film(), 1e11, X, 0.5), "side", 7), V, r"Slonczewski: side = 7, expected \+1"),
    # Regions and pictures.
    "regions": (
        lambda: regions(film().mesh, {1: Sphere(1e-7), 2: Sphere(1e-8)}), V, r"regions: shape 2 overlaps \[1\] in 6 cells; .*'last'",
    ),
    "picture": (lambda: from_image(np.zeros((4, 5)), film().mesh), V, r"from_image: image is 5 x 4 pixels, the mesh 3 x 2 cells; resize"),
    "grain-size": (lambda: tm.geometry.voronoi(film().mesh, "5 nm"), T, r"voronoi: size = '5 nm', expected a number, in metres"),
    # Observables.
    "charge-plane": (
        lambda: tm.topological_charge(tm.uniform(layers().mesh, Z), layers(), plane=1.5), V, r"plane = 1\.5, expected a node index",
    ),
    "torque-of-llg": (
        lambda: tm.max_torque(tm.LLG(tm.Exchange(film(), 1e-11), 1), tm.uniform(film().mesh, Z)), T, r"energy is a LLG.*llg\.energy",
    ),
    # Names that do not exist.
    "name-parameter": (lambda: assign(tm.Exchange(film(), 1e-11), "Aex", 1e-11), T, r"Exchange has no attribute 'Aex'.*are A"),
    "name-close": (lambda: assign(uniaxial(Z), "axes", X), T, r"UniaxialAnisotropy has no attribute 'axes'.*did you mean 'axis'"),
    "name-magnet": (lambda: assign(film(), "ms", 1e5), T, r"Magnet has no attribute 'ms'.*parameters are Ms, fraction"),
    "name-torque": (lambda: assign(tm.ZhangLi(film(), X), "beta", 0.1), T, r"ZhangLi has no attribute 'beta'.*j, P, xi"),
    "name-temperature": (lambda: assign(tm.ThermalField(film(), 1, 1), "temperature", 5), T, r"ThermalField has no attribute"),
    "name-of-a-term": (lambda: assign(body_sum(), "zeman", tm.Zeeman(film(), X)), T, r"Sum has no term 'zeman'.*exchange, zeeman: add"),
    "keyword-density": (lambda: tm.BulkDMI(film(), Db=1e-3), T, r"BulkDMI has no parameter 'Db'; its parameters are D"),
    "keyword-torque": (lambda: tm.ZhangLi(film(), X, beta=0.1), T, r"unexpected keyword argument 'beta'"),
    "keyword-field": (lambda: tm.Zeeman(film(), B=X), T, r"unexpected keyword argument 'B'"),
    "keyword-layers": (lambda: tm.InterlayerExchange(layers(), 1, axis=2, planes=(1, 2), J3=1), T, r"unexpected keyword argument 'J3'"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error


def test_a_refused_assignment_changes_nothing():
    term, layer = cubic(), coupling()
    for thing, name, value in ((term, "axis2", X), (term, "Kc", 1.0), (layer, "axis", 0)):
        before = {key: x.clone() for key, x in thing.state_dict().items()}
        with pytest.raises((V, T)):
            setattr(thing, name, value)
        assert all(torch.equal(x, before[key]) for key, x in thing.state_dict().items()) and not hasattr(thing, "Kc")


def test_right_assignments_stay():
    term = cubic()
    term.axis2 = (0, 1, 1)
    term.Kc1 = torch.nn.Parameter(torch.tensor(2e4))
    torque = tm.Slonczewski(film(), 1e11, X, 0.5)
    torque.side, torque.d = -1, 2e-9
    thermal = tm.ThermalField(film(), 300, seed=1)
    thermal.seed = [4, 5]
    assert thermal.seed.tolist() == [4, 5] and torque.side == -1
    term._note = "names with an underscore are nobody's parameter"
    for made in (term, torque, thermal):
        for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            with pytest.raises(TypeError, match="has no attribute 'misspelt'"):
                other.misspelt = 1


def test_a_subclass_may_have_attributes_of_its_own():
    class Tilted(tm.LocalEnergy):
        def __init__(self, magnet, angle):
            super().__init__(magnet, 1e5, (math.sin(angle), 0, math.cos(angle)))
            self.angle = angle

        @staticmethod
        def density(m, K: tm.forms.Scalar, n: tm.forms.Direction):
            return -K * tm.forms.dot(m, n) ** 2

    term = Tilted(film(), 0.3)
    term.angle = 0.4
    with pytest.raises(TypeError, match="Tilted has no attribute 'angel'"):
        term.angel = 0.5


def test_planes_may_be_any_integers():
    m = tm.random(layers().mesh, seed=1)
    expected = coupling().field(m)
    for planes in (np.array([1, 2]), torch.tensor([1, 2]), [np.int64(2), 1], range(1, 3)):
        assert torch.equal(coupling(planes=planes).field(m), expected)
    assert torch.equal(coupling(axis=np.int64(2)).field(m), expected)


def test_a_spacer_at_the_end_of_a_periodic_axis():
    """One layer beside its own image: the same as with the spacer in the middle."""
    mesh = tm.Mesh((4,), NM, pbc=(INF, 0, 0))
    at_end = tm.Magnet(mesh, torch.tensor([8e5, 8e5, 8e5, 0.0]))
    inside = tm.Magnet(mesh, torch.tensor([8e5, 0.0, 8e5, 8e5]))
    m = tm.random(mesh, seed=2)
    rolled = m.roll(-2, -1)
    a, b = coupling(at_end, 0, (3, 0)), coupling(inside, 0, (1, 2))
    torch.testing.assert_close(a.field(m).roll(-2, -1), b.field(rolled), rtol=1e-13, atol=0)
    torch.testing.assert_close(a.density_map(m).roll(-2, -1), b.density_map(rolled), rtol=1e-13, atol=0)


def test_terms_on_the_meta_device():
    with torch.device("meta"):
        magnet = tm.Magnet(tm.Mesh((2, 2, 3), NM), 8e5)
        made = (
            tm.CubicAnisotropy(magnet, 1e4, X, Y),
            tm.InterlayerExchange(magnet, 1e-3, axis=2, planes=(1, 2)),
            tm.SurfaceAnisotropy(magnet, 1e-3),
            tm.ZhangLi(magnet, X),
        )
        m = torch.empty(3, *magnet.mesh.nodes)
    assert all(term(m).shape == m.shape and term(m).device.type == "meta" for term in made)


def test_a_mask_is_a_fraction():
    mesh = film().mesh
    mask = torch.tensor([[True, False], [True, True], [False, True]])
    m = tm.random(mesh, seed=3)
    expected = tm.Exchange(tm.Magnet(mesh, 8e5, mask.double()), 1e-11).field(m)
    for fraction in (mask, mask.numpy()):
        assert torch.equal(tm.Exchange(tm.Magnet(mesh, 8e5, fraction), 1e-11).field(m), expected)
    disk = Sphere(1.2e-9, center=(1e-9, 1e-9, 0.5e-9)).mask(mesh)
    assert tm.Magnet(mesh, 8e5, disk).fraction.sum() == disk.sum()
    with pytest.raises(TypeError, match="fraction is a torch.int64 tensor"):
        tm.Magnet(mesh, 8e5, mask.long())


def test_tools_of_torch_still_reach_a_term():
    class Absolute(torch.nn.Module):
        def forward(self, x):
            return x.abs()

    m = tm.random(film().mesh, seed=4)
    term = tm.Exchange(film(), torch.nn.Parameter(torch.full((3, 2), -1e-11).abs()))
    expected = term.energy(m)
    torch.nn.utils.parametrize.register_parametrization(term, "A", Absolute())
    torch.testing.assert_close(term.energy(m), expected, rtol=1e-14, atol=0)
    with pytest.raises(TypeError, match="has no attribute 'Aex'"):
        term.Aex = 1e-11
    torch.nn.utils.prune.random_unstructured(tm.Exchange(film(), torch.nn.Parameter(torch.ones(3, 2))), "A", amount=0.5)
