"""Scripts of mumax3."""

from torchmag.mx3.script import Outcome, run
from torchmag.mx3.script_error import ScriptError, TimeLimit, Unsupported
