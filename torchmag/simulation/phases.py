"""The calls that a script makes one after another, and which of them a checkpoint has behind it."""

from dataclasses import dataclass, field

from torchmag.errors import CheckpointError
from torchmag.simulation.identity import require_same


@dataclass
class Phases:
    """What was called: run, relax or hysteresis, with which arguments and what result.

    Attributes:
        done: of those that ended, {"kind", "arguments", "parameters", "result"}.
        current: of the one under way, {"kind", "arguments", "parameters", "state"}; None between two.
        count: calls that the script made so far.
    """

    title: str
    done: list[dict] = field(default_factory=list)
    current: dict | None = None
    count: int = 0

    def enter(self, call: dict) -> tuple[str, dict | None]:
        """What to do about a call: ("skip", its result), ("take up", its state), ("begin", None), or ("go on", the result so far)
        for a last run that is now to go further.

        Args:
            call: {"kind", "arguments", "parameters": of the equation, see `fingerprint`}.

        Raises:
            CheckpointError: the checkpoint was written after other calls, or calls with other parameters.
        """
        behind = self.count < len(self.done)
        known = self.done[self.count] if behind else self.current
        what, found = ("begin", None) if known is None else self._compare(call, known, behind)
        if not behind:
            self.current = None
        elif what == "go on":
            self.done.pop()
        self.count += 1
        return what, found

    def _compare(self, call, known, behind):
        title = f"{self.title}: call {self.count + 1}, {call['kind']}"
        if call["kind"] != known["kind"]:
            raise CheckpointError(f"{title}: expected {call['kind']}, got {known['kind']} from the file: the script has changed")
        own, its = call["arguments"], known["arguments"]
        until, reached = own.get("until"), its.get("until")
        last = self.count == len(self.done) - 1 and self.current is None
        further = behind and last and until is not None and until > reached
        if further or not behind:
            own, its = own | {"until": None}, its | {"until": None}
        require_same(title, own, its)
        require_same(f"{title}: parameters", call["parameters"], known["parameters"])
        if behind:
            return "go on" if further else "skip", known["result"]
        return "take up" if until == reached else "take up elsewhere", known["state"]

    def leave(self, call: dict, result: dict) -> None:
        """A call ended: {"kind", "arguments", "parameters"}."""
        self.done.append(call | {"result": result})
        self.current = None

    @property
    def behind(self) -> bool:
        """Whether the last call was one that the checkpoint has behind it, with more to come."""
        return self.count < len(self.done) or self.current is not None
