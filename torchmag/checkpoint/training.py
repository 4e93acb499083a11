"""Checkpoints of a training loop."""

from collections.abc import Iterator
from numbers import Integral

import torch
from torch import Tensor, nn

from torchmag.checkpoint import file
from torchmag.checkpoint.random_states import random_states, restore_random_states
from torchmag.checkpoint.resuming import take_up
from torchmag.checkpoint.signals import Interrupted, Occasions
from torchmag.errors import CheckpointError

KIND = "training"


class Checkpoint:
    """What a training loop needs to go on as if it had not stopped, kept in a file:

        checkpoint = tm.Checkpoint("design.checkpoint", resume=True, llg=llg, optimizer=optimizer, losses=losses)
        for iteration in checkpoint.range(200):
            optimizer.zero_grad()
            ...

    The file is read here, at once, into the parts.  The random number generators of Python, NumPy and torch are part of it.

    Args:
        path: of the file; the one before is kept beside it.
        resume: True goes on from the file where there is one; False refuses to, with a FileExistsError; None: as `torchmag run`
            says, else False.
        interval: seconds between two files, written after the iteration; None: signals alone.  0: after each iteration.
        parts: what changes from iteration to iteration, by a name of your choice: Modules, optimizers, schedulers and anything
            else with state_dict() and load_state_dict(); tensors, lists and dicts, which are restored in place.

    Attributes:
        number: iterations made.

    Raises:
        TypeError: a part that cannot be restored.
        CheckpointError: a file that cannot be read, or was written with other parts, parameters, shapes or dtypes.
    """

    def __init__(self, path, *, resume: bool | None = None, interval: float | None = 900.0, **parts):
        for name, part in parts.items():
            if not (isinstance(part, Tensor | list | dict) or (hasattr(part, "state_dict") and hasattr(part, "load_state_dict"))):
                raise TypeError(
                    f"Checkpoint: {name} is a {type(part).__name__}, expected something with state_dict() and load_state_dict(), "
                    f"a tensor, a list or a dict"
                )
        self.path, self.parts, self.number, self._occasions = path, parts, 0, Occasions(interval)
        found = take_up(path, resume, "Checkpoint")
        if found is not None:
            self._restore(found)

    def range(self, count: int) -> Iterator[int]:
        """The numbers of the iterations that are left of `count`.

        The file is written when the interval is over, on SIGUSR1, on SIGTERM and Ctrl-C, which then end the program (SIGTERM by
        `Interrupted`, exit code 75), and after the last iteration.  Leave the loop by `break` and the last word is `save()`'s.
        """
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise ValueError(f"Checkpoint.range: count = {count!r}, expected a number of iterations")
        made = False
        with self._occasions as occasions:
            for number in range(self.number, count):
                yield number
                self.number, made = number + 1, True
                if occasions.due:
                    self.save()
                    made = False
                if occasions.stop:
                    where = f"saved after iteration {number} in {self.path}"
                    raise KeyboardInterrupt(where) if occasions.interrupted else Interrupted(f"SIGTERM: {where}")
        if made:
            self.save()

    def save(self) -> None:
        """Write the file now."""
        states = {
            name: part if isinstance(part, Tensor | list | dict) else part.state_dict() for name, part in self.parts.items()
        }
        content = {"kind": KIND, "number": self.number, "random": random_states(), "parts": states}
        file.save(self.path, content)
        self._occasions.saved()

    def _restore(self, found):
        if not isinstance(found, dict) or found.get("kind") != KIND:
            raise CheckpointError(f"{self.path}: expected a checkpoint of a training loop, got one of another kind")
        wanted, got = sorted(self.parts), sorted(found["parts"])
        if wanted != got:
            raise CheckpointError(f"{self.path}: expected the parts {', '.join(wanted)}, got {', '.join(got)}")
        for name, part in self.parts.items():
            _require_alike(f"{self.path}: {name}", part, found["parts"][name])
        for name, part in self.parts.items():
            _put(f"{self.path}: {name}", part, found["parts"][name])
        self.number = found["number"]
        restore_random_states(found["random"])


def _require_alike(title, part, state):
    """Raise before anything is changed."""
    if isinstance(part, Tensor):
        _require_same_tensor(title, part, state)
    if isinstance(part, nn.Module):
        own = part.state_dict()
        missing, unknown = [name for name in own if name not in state], [name for name in state if name not in own]
        if missing or unknown:
            raise CheckpointError(
                f"{title}: not the same parameters; expected and not in the file: {', '.join(missing) or 'none'}; "
                f"in the file and unknown: {', '.join(unknown) or 'none'}"
            )
        for key, value in own.items():
            _require_same_tensor(f"{title}.{key}", value, state[key])


def _require_same_tensor(title, own, stored):
    if not isinstance(own, Tensor) or not isinstance(stored, Tensor):
        return
    if (own.shape, own.dtype) != (stored.shape, stored.dtype):
        raise CheckpointError(
            f"{title}: expected {own.dtype} {tuple(own.shape)}, got {stored.dtype} {tuple(stored.shape)} from the file"
        )


def _put(title, part, state):
    if isinstance(part, Tensor):
        with torch.no_grad():
            part.copy_(state)
    elif isinstance(part, list):
        part[:] = state
    elif isinstance(part, dict):
        part.clear()
        part.update(state)
    else:
        try:
            part.load_state_dict(state)
        except (ValueError, KeyError, RuntimeError, TypeError) as error:
            raise CheckpointError(f"{title}: does not fit the {type(part).__name__}: {error}") from error
