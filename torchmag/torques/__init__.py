"""Torques, one physics noun per file."""

from torchmag.torques.slonczewski import Slonczewski
from torchmag.torques.spin_orbit import SpinOrbit
from torchmag.torques.zhang_li import ZhangLi

__all__ = ["Slonczewski", "SpinOrbit", "ZhangLi"]
