"""torchmag as a calculator of ubermag: `import torchmag.ubermag as tmc` in place of `import oommfc as mc` (docs/ubermag.md)."""

try:
    import discretisedfield
    import micromagneticmodel
    import ubermagtable
except ImportError as error:
    raise ImportError(f"torchmag.ubermag needs ubermag's packages ({error}): pip install 'torchmag[ubermag]'") from error

from torchmag.ubermag.compute import compute
from torchmag.ubermag.drivers import Driver
from torchmag.ubermag.equilibrium import HysteresisDriver, MinDriver, RelaxDriver
from torchmag.ubermag.evolvers import (
    CGEvolver,
    EulerEvolver,
    RungeKuttaEvolver,
    SpinTEvolver,
    SpinXferEvolver,
    UHH_ThetaEvolver,
    Xf_ThermHeunEvolver,
    Xf_ThermSpinXferEvolver,
)
from torchmag.ubermag.folder import delete
from torchmag.ubermag.time_driver import TimeDriver
