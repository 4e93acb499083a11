"""Normally distributed numbers by counter: what is drawn depends on seed, sample and step alone, not on device or history.

Integers come from Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), normal
numbers from them by Box and Muller (Ann. Math. Stat. 29, 610 (1958)).  Logarithm and sine are summed here from operations that
IEEE 754 rounds correctly (+, -, *, /, square root), each its own tensor operation: library functions differ in the last bit
between devices, and between the vectorised body and the tail of an array.
"""

import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
# Series of 2 artanh(z) for |z| < 0.172 and of sin(x) for |x| < pi/4, highest power first: both to 1e-11.
_LOGARITHM = tuple(2 / k for k in range(13, 0, -2))
_SINE = tuple((-1) ** (k // 2) / math.factorial(k) for k in range(11, 0, -2))


def normal(seed: Tensor, sample: Tensor, step: Tensor, count: int) -> Tensor:
    """Independent N(0, 1) numbers: one stream of `count` for each (seed, sample, step).

    Args:
        seed, sample, step: int64, >= 0, broadcast against each other; sample below 2^32.
        count: how many per stream.

    Returns:
        (*broadcast, count), float64, the largest magnitude possible 6.8.
    """
    seed, sample, step = (x.unsqueeze(-1) for x in torch.broadcast_tensors(seed, sample, step))
    index = torch.arange((count + 3) // 4, device=seed.device)
    counter = (index, sample, step & _MASK, step >> 32)
    a, b, c, d = philox(counter, (seed & _MASK, seed >> 32))
    found = box_muller(torch.cat((a, c), -1), torch.cat((b, d), -1))
    return torch.cat(found, -1)[..., :count]


def philox(counter: tuple[Tensor, ...], key: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Philox4x32-10: four words of counter and two of key to four random words, each 0 to 2^32 - 1 in int64."""
    x0, x1, x2, x3 = counter
    k0, k1 = key
    for _ in range(10):
        # The 64-bit products wrap in int64; the masks undo the sign.
        a, b = x0 * _MULTIPLIERS[0], x2 * _MULTIPLIERS[1]
        high_a, high_b = ((x >> 32).bitwise_and_(_MASK) for x in (a, b))
        x0, x1, x2, x3 = high_b ^ x1 ^ k0, b.bitwise_and_(_MASK), high_a ^ x3 ^ k1, a.bitwise_and_(_MASK)
        k0, k1 = (k0 + _INCREMENTS[0]) & _MASK, (k1 + _INCREMENTS[1]) & _MASK
    return x0, x1, x2, x3


def box_muller(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two words of 32 bits to two independent N(0, 1) numbers, r cos phi and r sin phi.

    The first word gives |r|, the leading bit of the second its sign, the rest phi within (-pi/2, pi/2).
    """
    r = _radius(a) * (1 - 2 * (b >> 31)).to(torch.float64)
    half = ((b & 0x7FFFFFFF).to(torch.float64) + (0.5 - 2**30)) * (math.pi / 4 * 2**-30)
    s = _polynomial(_SINE, half * half).mul_(half)
    square = s * s
    cosine, sine = 1 - 2 * square, (1 - square).sqrt_().mul_(s).mul_(2)
    return r * cosine, r * sine


def _radius(a):
    """sqrt(-2 ln u) at u = (a + 1/2) / 2^32."""
    mantissa, exponent = torch.frexp((a.to(torch.float64) + 0.5) * 2**-32)
    # ln(mantissa sqrt(2)), the argument within (1/sqrt(2), sqrt(2)).
    z = (mantissa - math.sqrt(0.5)) / (mantissa + math.sqrt(0.5))
    logarithm = _polynomial(_LOGARITHM, z * z).mul_(z).add_((exponent.to(torch.float64) - 0.5) * math.log(2))
    return logarithm.mul_(-2).sqrt_()


def _polynomial(coefficients, x):
    total = torch.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        total.mul_(x).add_(c)
    return total
