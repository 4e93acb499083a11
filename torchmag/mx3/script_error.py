"""The error that a script ends with."""


class ScriptError(ValueError):
    """What is wrong in a script and where, in one line: file:line:column: message.

    Attributes:
        line, column: of the script, from 1; None where no place is known.
        name: the identifier that cannot be run, if that is the reason.
    """

    def __init__(self, message: str, position: tuple[int, int] | None = None, name: str | None = None):
        super().__init__(" ".join(str(message).split()))
        self.position, self.name, self.file = position, name, "script"

    @property
    def line(self) -> int | None:
        return self.position and self.position[0]

    @property
    def column(self) -> int | None:
        return self.position and self.position[1]

    def __str__(self):
        line, column = self.position or (1, 1)
        return f"{self.file}:{line}:{column}: {self.args[0]}"


class Unsupported(ScriptError):
    """A line that torchmag cannot run; says what it would need."""


class TimeLimit(ScriptError):
    """The time given to the script is over."""


class Exit(Exception):
    """The script called Exit()."""
