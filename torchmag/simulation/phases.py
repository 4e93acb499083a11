"""The calls that a script makes one after another, and which of them a checkpoint has behind it."""

from dataclasses import dataclass, field

from torchmag.errors import CheckpointError
from torchmag.simulation.identity import require_same


@dataclass
class Phases:
    """What was called: run, relax or hysteresis, with which arguments and what result.

    Attributes:
        done: of those that ended, {"kind", "arguments", "result"}.
        current: of the one under way, {"kind", "arguments", "state"}; None between two.
        count: calls that the script made so far.
    """

    title: str
    done: list[dict] = field(default_factory=list)
    current: dict | None = None
    count: int = 0

    def enter(self, kind: str, arguments: dict) -> tuple[str, dict | None]:
        """What to do about a call: ("skip", its result), ("take up", its state), ("begin", None), or ("go on", the result so far)
        for a last run that is now to go further.

        Raises:
            CheckpointError: the checkpoint was written after other calls.
        """
        index, self.count = self.count, self.count + 1
        title = f"{self.title}: call {index + 1}, {kind}"
        if index < len(self.done):
            return self._behind(title, index, kind, arguments)
        if self.current is None:
            return "begin", None
        self._require_kind(title, kind, self.current)
        state, self.current = self.current, None
        until = arguments.get("until")
        require_same(title, arguments | {"until": None}, state["arguments"] | {"until": None})
        if until is not None and until != state["arguments"]["until"]:
            return "take up elsewhere", state["state"]
        return "take up", state["state"]

    def _behind(self, title, index, kind, arguments):
        known = self.done[index]
        self._require_kind(title, kind, known)
        last = index == len(self.done) - 1 and self.current is None
        if last and kind == "run" and arguments["until"] > known["arguments"]["until"]:
            require_same(title, arguments | {"until": None}, known["arguments"] | {"until": None})
            self.done.pop()
            return "go on", known["result"]
        require_same(title, arguments, known["arguments"])
        return "skip", known["result"]

    def _require_kind(self, title, kind, known):
        if kind != known["kind"]:
            raise CheckpointError(f"{title}: expected {kind}, got {known['kind']} from the file: the script has changed")

    def leave(self, kind: str, arguments: dict, result: dict) -> None:
        """A call ended."""
        self.done.append({"kind": kind, "arguments": arguments, "result": result})
        self.current = None

    @property
    def behind(self) -> bool:
        """Whether the last call was one that the checkpoint has behind it, with more to come."""
        return self.count < len(self.done) or self.current is not None
