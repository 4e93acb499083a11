"""Loops that numba compiles when they are first called; imported by `products` alone, and only there."""

from numba import njit


def _compile(function):
    """Without the global interpreter lock, and kept on disk where there is a folder for it."""
    options = {"nogil": True, "fastmath": {"contract"}}
    try:
        return njit(function, cache=True, **options)
    except RuntimeError:
        return njit(function, **options)


@_compile
def one(out, a, f, x):
    """out = a f x."""
    for i in range(len(out)):
        out[i] = (a * f[i]) * x[i]


@_compile
def two(out, a, f, x, b, g, y):
    """out = a f x + b g y."""
    for i in range(len(out)):
        out[i] = (a * f[i]) * x[i] + (b * g[i]) * y[i]


@_compile
def three(out, a, f, x, b, g, y, c, h, z):
    """out = a f x + b g y + c h z."""
    for i in range(len(out)):
        out[i] = (a * f[i]) * x[i] + (b * g[i]) * y[i] + (c * h[i]) * z[i]


@_compile
def multiply(spectrum, kernel, counts, rows, origins, signs, found):
    """See `products.multiply` and its `Table`."""
    kept, length, real = kernel.shape[1], spectrum.shape[2], kernel.dtype.type
    for sample in range(spectrum.shape[0]):
        x = spectrum[sample]
        for i in range(length):
            mirrored = int(i >= kept)
            j = length - i if mirrored else i
            for target in range(3):
                out, r, o, s = found[sample, target, i], rows[target], origins[target], signs[mirrored, target]
                if counts[target] == 0:
                    out[:] = 0
                    continue
                a, b, c = real(s[0]), real(s[1]), real(s[2])
                if counts[target] == 1:
                    one(out, a, kernel[r[0], j], x[o[0], i])
                elif counts[target] == 2:
                    two(out, a, kernel[r[0], j], x[o[0], i], b, kernel[r[1], j], x[o[1], i])
                else:
                    f, g, h = kernel[r[0], j], kernel[r[1], j], kernel[r[2], j]
                    three(out, a, f, x[o[0], i], b, g, x[o[1], i], c, h, x[o[2], i])
