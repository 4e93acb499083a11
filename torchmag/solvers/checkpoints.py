"""Which states of a trajectory to keep, so that it can be gone through backwards in bounded memory.

While steps are made their number is unknown: every state is kept until the slots are full, then every second of them is dropped
and only every second kept from there on, and so forth.  Half the slots then stay free, for the states between two that were kept.
Those are made again, by the binomial schedule of Griewank and Walther (ACM Trans. Math. Softw. 26, 19 (2000)): n steps from c
states with r repetitions, the least for which (c + r choose c) >= n.  With sqrt(8 n) slots or more every step is made at most once
more; with fewer, down to O(log n), O(log n) times.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any


class Checkpoints:
    """States by the number of the step that starts from them.

    Args:
        slots: how many states to keep at most, at least 2.

    Attributes:
        count: steps made.
    """

    def __init__(self, slots: int):
        self.slots, self.stride, self.count = slots, 1, 0
        self.kept: dict[int, Any] = {}

    def add(self, state) -> None:
        """The state from which the next step starts."""
        if self.count % self.stride == 0:
            self.kept[self.count] = state
        self.count += 1
        while len(self.kept) > (self.slots if self.stride == 1 else max(1, self.slots // 2)):
            self.stride *= 2
            self.kept = {number: state for number, state in self.kept.items() if number % self.stride == 0}

    def backwards(self, step: Callable[[int, Any], Any]) -> Iterator[tuple[int, Any]]:
        """(number, state) of every step, the last first; `step(number, state)` is the next state."""
        kept, end = sorted(self.kept.items()), self.count
        while kept:
            start, state = kept[-1]
            if end == start:
                kept.pop()
                continue
            middle = start + first_part(end - start, self.slots - len(kept))
            for number in range(start, middle):
                state = step(number, state)
            if middle == end - 1:
                yield middle, state
                end = middle
            else:
                kept.append((middle, state))


def first_part(count: int, slots: int) -> int:
    """How many of `count` steps to make before the next state is kept, for the fewest repetitions."""
    if count == 1:
        return 0
    if slots <= 0:
        return count - 1
    repetitions = 1
    while math.comb(slots + 1 + repetitions, slots + 1) < count:
        repetitions += 1
    return max(1, count - math.comb(slots + repetitions, slots))
