"""The errors that torchmag raises beside ValueError and TypeError."""


class FormError(ValueError):
    """An energy density or weak form that cannot be compiled; the message names the symbol at fault."""


class IntegrationError(RuntimeError):
    """A time integration that cannot go on.

    Attributes:
        t: time reached, s.
        dt: step size last tried, s.
        term: name of the energy term or torque at fault, if one was found.
    """

    def __init__(self, message: str, t: float = float("nan"), dt: float = float("nan"), term: str | None = None):
        super().__init__(message)
        self.t, self.dt, self.term = t, dt, term

    def __reduce__(self):
        return type(self), (*self.args, self.t, self.dt, self.term)


class NonFiniteError(IntegrationError):
    """NaN or infinity in the magnetisation or in a field."""


class StepSizeError(IntegrationError):
    """The step size fell below what the time axis can resolve."""


class MaxStepsError(IntegrationError):
    """The maximum number of steps was used up before the last requested time."""


class DivergedWarning(RuntimeWarning):
    """A sample of a batch that could not go on; the others did."""


class GradientWarning(RuntimeWarning):
    """A sample of a batch without a gradient; the others have theirs."""


class ResolutionWarning(RuntimeWarning):
    """Cells too large for m: it turns between neighbouring nodes by more than the order of the magnet carries (see `max_angle`)."""


class StabilityWarning(RuntimeWarning):
    """An equilibrium that is not a minimum, or a mode that grows."""


class SweepError(RuntimeError):
    """A sweep of which some points failed.

    Attributes:
        results: of all points, None where one failed.
        errors: position of a point -> its exception.
    """

    def __init__(self, message: str, results=None, errors=None):
        super().__init__(message)
        self.results, self.errors = results, errors

    def __reduce__(self):
        return type(self), (*self.args, self.results, self.errors)


class GradientError(RuntimeError):
    """A gradient that does not exist, or that cannot be trusted."""


class ConvergenceError(RuntimeError):
    """An equilibrium search that ended before its tolerance.

    Attributes:
        m: the magnetisation reached.
        info: the record of the search (see `torchmag.relax`).
    """

    def __init__(self, message: str, m=None, info=None):
        super().__init__(message)
        self.m, self.info = m, info

    def __reduce__(self):
        return type(self), (*self.args, self.m, self.info)


class FileFormatError(ValueError):
    """A file that is not what it should be: cut off, changed, inconsistent or of another kind; the message names file and place."""


class OVFError(FileFormatError):
    """An OVF file that cannot be trusted."""


class TableError(FileFormatError):
    """A table that cannot be trusted."""


class CheckpointError(FileFormatError):
    """A checkpoint that cannot be trusted, or that belongs to something else."""


class TrajectoryError(FileFormatError):
    """A trajectory file that cannot be trusted."""
