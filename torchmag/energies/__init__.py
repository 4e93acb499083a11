"""Energy terms, one physics noun per file."""

from torchmag.energies.anisotropy import UniaxialAnisotropy
from torchmag.energies.cubic import CubicAnisotropy
from torchmag.energies.demag import Demag
from torchmag.energies.dmi import DMI, BulkDMI, InterfaceDMI
from torchmag.energies.exchange import Exchange
from torchmag.energies.interlayer import InterlayerExchange
from torchmag.energies.magnetoelastic import Magnetoelastic
from torchmag.energies.module import EnergyModule
from torchmag.energies.oersted import Oersted
from torchmag.energies.surface_anisotropy import SurfaceAnisotropy
from torchmag.energies.zeeman import Zeeman

__all__ = [
    "DMI", "BulkDMI", "CubicAnisotropy", "Demag", "EnergyModule", "Exchange", "InterfaceDMI", "InterlayerExchange", "Magnetoelastic",
    "Oersted", "SurfaceAnisotropy", "UniaxialAnisotropy", "Zeeman",
]  # fmt: skip
