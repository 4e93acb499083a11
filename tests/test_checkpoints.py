"""Which states are kept, and how often steps are made again."""

import random

import pytest

from torchmag.solvers.checkpoints import Checkpoints


def go_back(count, slots):
    """How often each step is made again; states are numbers, so that a wrong one shows."""
    checkpoints, made, held = Checkpoints(slots), [0] * count, 0
    for number in range(count):
        checkpoints.add(number)
        held = max(held, len(checkpoints.kept))
    assert held <= slots + 1

    def step(number, state):
        assert state == number
        made[number] += 1
        return state + 1

    assert list(checkpoints.backwards(step)) == [(number, number) for number in reversed(range(count))]
    return made


def test_every_step_backwards_for_any_number_of_steps_and_slots():
    generator = random.Random(0)
    for _ in range(300):
        go_back(generator.randint(1, 300), generator.randint(2, 60))


@pytest.mark.parametrize("slots", [2, 5, 30, 200])
def test_nothing_is_made_again_while_every_state_fits(slots):
    assert not any(go_back(slots, slots))


@pytest.mark.parametrize("count", [10, 100, 1000, 9999])
def test_once_more_with_the_square_root(count):
    """Memory O(sqrt(n)) for one repetition."""
    assert max(go_back(count, int((8 * count) ** 0.5) + 1)) <= 1


@pytest.mark.parametrize("count", [100, 1000, 10_000])
def test_logarithmic_memory_for_logarithmic_work(count):
    slots = 2 * count.bit_length()
    assert sum(go_back(count, slots)) / count < 0.5 * count.bit_length()


def test_long_trajectories_do_not_nest():
    """Thousands of states between two that were kept."""
    checkpoints = Checkpoints(2500)
    for number in range(2_100_000):
        checkpoints.add(number)
    assert next(checkpoints.backwards(lambda number, state: state + 1)) == (2_099_999, 2_099_999)
