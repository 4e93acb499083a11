"""Bodies on a mesh: shapes, pictures, grains, regions.

disk = Cylinder(50e-9, center=center(mesh)) - HalfSpace((1, 0, 0), (20e-9, 0, 0))
film = tm.Magnet(mesh, Ms=8e5, fraction=disk.fraction(mesh))
"""

from torchmag.geometry.bodies import Box, Capsule, Cone, Cylinder, Ellipsoid, HalfSpace, Ring, Sphere, Torus
from torchmag.geometry.fraction import center
from torchmag.geometry.grains import grain_boundaries, grain_values, random_axes, random_normal, scale_boundaries, voronoi
from torchmag.geometry.images import from_image
from torchmag.geometry.prisms import Polygon, RegularPolygon
from torchmag.geometry.regions import regions
from torchmag.geometry.shape import Fraction, Shape
