"""Tcl time functions, by the interpreter that comes with Python's tkinter."""

try:
    import tkinter
except ImportError:
    tkinter = None


class TclFunction:
    """A procedure of a system's tcl strings, run in a safe interpreter: without files, programs or the network.

    Args:
        strings: "script", that defines it, "script_name", and "script_args": which of total_time, stage_time and stage it takes
            (a drive of torchmag is one stage).
        title: how errors call it.

    Raises:
        ImportError: this Python has no tkinter.
        ValueError: strings that are missing, a script that Tcl does not understand.
    """

    def __init__(self, strings, title: str):
        self.title = title
        if tkinter is None:
            raise ImportError(
                f"{title}: Tcl needs Python's tkinter, which is not installed; give func, a Python function, and dt"
            )
        missing = [name for name in ("script", "script_name") if name not in strings]
        if missing:
            raise ValueError(f"{title}: {', '.join(missing)} missing")
        self.arguments = strings.get("script_args", "total_time").split()
        unknown = set(self.arguments) - {"total_time", "stage_time", "stage"}
        if unknown:
            raise ValueError(f"{title}: script_args has {', '.join(sorted(unknown))}, expected total_time, stage_time, stage")
        self.name, self.tcl = strings["script_name"], tkinter.Tcl()
        self.tcl.eval("interp create -safe torchmag")
        self._eval(strings["script"])

    def __call__(self, t: float) -> list[float]:
        values = " ".join("0" if name == "stage" else repr(t) for name in self.arguments)
        found = self._eval(f"{self.name} {values}")
        try:
            return [float(number) for number in self.tcl.splitlist(found if isinstance(found, tuple) else str(found))]
        except (ValueError, tkinter.TclError):
            raise ValueError(f"{self.title}: {self.name} returns {found!r} at t = {t:g} s, expected numbers") from None

    def _eval(self, script):
        try:
            return self.tcl.call("interp", "eval", "torchmag", script)
        except tkinter.TclError as error:
            raise ValueError(f"{self.title}: {error}") from None
