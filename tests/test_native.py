"""The compiled convolution: equal to torch's FFT on every shape and processor, and replaced by it where nothing can be compiled."""

import math
import multiprocessing
import os
import platform
import shutil
import subprocess
import sys

import pytest
import torch

import torchmag as tm
from torchmag import layout, native
from torchmag.convolution import plans
from torchmag.convolution.native_fft import NativeFFT
from torchmag.convolution.problem import unfolded
from torchmag.convolution.torch_fft import TorchFFT
from torchmag.testing import SPACING

needs_compiler = pytest.mark.skipif(not plans.available(), reason="there is no C++ compiler")
# One axis and all, short and long ones, odd and even lengths, every radix, more lines than a pack.
SHAPES = [
    (7,),
    (1, 1, 9),
    (16, 9),
    (33, 20),
    (5, 3, 2),
    (1, 5, 6),
    (6, 1, 5),
    (12, 10, 4),
    (20, 18, 22),
    (40, 9),
    (61, 6, 3),
    (4, 18, 33),
]
PERIODIC = [
    ((12, 7, 5), (math.inf, 0, 0)),
    ((15, 20), (0, math.inf, 0)),
    ((49, 3, 8), (0, 0, 2)),
    ((3, 49, 8), (math.inf, math.inf, 0)),
    ((6, 14, 21), (0, math.inf, math.inf)),
    ((4, 3, 35), (math.inf, 0, 1)),
    ((4, 1, 3), (0, 2, 2)),
    ((20,), (math.inf, 0, 0)),
]


def convolved(n, pbc=(0, 0, 0)):
    magnet = tm.Magnet(tm.Mesh(n, SPACING, pbc=pbc), 1.0, dtype=torch.float64)
    return tm.Demag(magnet), tm.Oersted(magnet, (0, 0, 0))


def expect_those_of_torch(energy):
    """Fields of a batch, in both precisions, beside those of torch's FFT in double precision, and the kernel back and forth."""
    problem, packed = energy._convolve.problem, energy.kernel
    torch_fft = TorchFFT(problem)
    plan, extending, nodal = NativeFFT(problem).plan_of
    assert packed.ndim == 1
    x = torch.randn(3, 3, *energy.mesh.cells, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    kernel = torch.stack([whole_spectrum(problem, *row) for row in zip(energy._rows(), problem.parities)])
    expected = torch_fft.whole(x, kernel)
    scale = float(expected.abs().max())
    torch.testing.assert_close(plans.convolve(plan, x, packed), expected, rtol=0, atol=2e-15 * scale)
    single = plans.convolve(plan, x.float(), packed.float())
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-6 * scale)
    # With what adjoins it, written by the compiled code itself or put around its result.
    periodic = layout.periodic_axes(energy.mesh)
    found = plans.convolve(plan, x, packed)
    assert torch.equal(plans.convolve(extending, x, packed), layout.extended(found, periodic))
    # From the nodes, where only the means round differently.
    m = torch.randn(3, 3, *energy.mesh.nodes, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    means = layout.extended(plans.convolve(plan, layout.mean_of_corners(m, periodic), packed), periodic)
    torch.testing.assert_close(plans.convolve(nodal, m, packed), means, rtol=0, atol=2e-15 * scale)
    for each in (plan, extending, nodal):
        assert plans.Plan.decode(tuple(each.encode())) == each
    assert nodal.shape_of(m) == means.shape
    # What is kept is a part of it, and the rest follows.
    halves = plan.unpack(packed)
    torch.testing.assert_close(torch_fft.keep(halves), kernel, rtol=0, atol=1e-15 * float(kernel.abs().max()))
    assert torch.equal(plan.pack(halves), packed)
    torch.testing.assert_close(torch_fft.restore(torch_fft.keep(halves)), halves, rtol=0, atol=0)


def whole_spectrum(problem, kernel, odd_axes):
    """The transform of a row of the kernel by its definition."""
    for axis, length in zip(problem.axes, problem.lengths):
        if not problem.mesh.periodic(axis):
            kernel = unfolded(kernel, axis, length, odd_axes[axis])
    spectrum = torch.fft.rfftn(kernel.reshape(problem.lengths))
    spectrum = spectrum.permute(*reversed(range(spectrum.ndim)))
    return spectrum.imag if problem.odd else spectrum.real


@needs_compiler
@pytest.mark.parametrize("n, pbc", [*((n, (0, 0, 0)) for n in SHAPES), *PERIODIC])
def test_shapes(n, pbc):
    for energy in convolved(n, pbc):
        expect_those_of_torch(energy)


@needs_compiler
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86's processors")
@pytest.mark.parametrize("compiler", ["c++", "clang++"])
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3", "x86-64-v4"])
def test_processors(processor, compiler, monkeypatch, tmp_path):
    """Registers of 16, 32 and 64 bytes; with OpenMP and without it."""
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler}")
    if processor.endswith("v4") and "avx512f" not in native._processor():
        pytest.skip("this processor has no AVX-512")
    monkeypatch.setattr(native, "TUNING", ((f"-march={processor}",), ("-no-such-option",)))
    library = native._load(tmp_path, shutil.which(compiler), plans.SOURCE)
    monkeypatch.setattr(native, "library", lambda source: library)
    plans._Handle.cache_clear()
    try:
        for n in ((33, 20), (5, 7, 11), (20, 18, 22)):
            for energy in convolved(n):
                expect_those_of_torch(energy)
    finally:
        plans._Handle.cache_clear()


def test_lengths_that_have_no_transform():
    # 11 cells along a periodic axis: torch's FFT.
    for energy in convolved((11, 4), (math.inf, 0, 0)):
        assert not NativeFFT.fits(energy._convolve.problem)
    with pytest.raises(ValueError, match="factor 11"):
        plans.radices(22)


def field_in_a_new_process(**environment):
    """The norm of a field that takes one library, whether compiled code made it, and what was written to stderr."""
    program = (
        "import logging, torch, torchmag as tm\nfrom torchmag.convolution import plans\nlogging.basicConfig()\n"
        "mesh = tm.Mesh((9, 5), (5e-9, 5e-9, 3e-9))\nfield = tm.Demag(tm.Magnet(mesh, 8e5, order=2, dtype=torch.float64)).field\n"
        "m = tm.vortex(mesh).double()\nprint(plans.available(), float(field(m).norm()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    available, norm = done.stdout.split()
    return float(norm), available == "True", done.stderr


def counting_compiler(folder):
    """A compiler that adds a line to a file for each call."""
    path = folder / "counted"
    path.write_text(f'#!/bin/sh\necho called >> {folder / "calls"}\nexec c++ "$@"\n')
    path.chmod(0o755)
    return str(path)


@needs_compiler
def test_compiled_once(tmp_path):
    environment = {"CXX": counting_compiler(tmp_path), "TORCHMAG_CACHE": str(tmp_path / "cache")}
    first = field_in_a_new_process(**environment)
    assert first == field_in_a_new_process(**environment)
    assert first[1:] == (True, "")
    assert (tmp_path / "calls").read_text().count("called") == 1
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"damaged")
    assert first == field_in_a_new_process(**environment)
    assert (tmp_path / "calls").read_text().count("called") == 2


@needs_compiler
def test_compiled_again_with_another_header(tmp_path, monkeypatch):
    source, header = tmp_path / "width.cpp", tmp_path / "registers.h"
    source.write_text('#include "registers.h"\nextern "C" int width() { return W<double>; }\n')
    widths = []
    for text in (native.HEADER.read_text(), "template <class T> constexpr int W = 3;\n"):
        header.write_text(text)
        with monkeypatch.context() as patch:
            patch.setattr(native, "HEADER", header)
            widths.append(native._load(tmp_path / "cache", shutil.which("c++"), source).width())
    assert widths[0] in (2, 4, 8) and widths[1] == 3


@needs_compiler
def test_nowhere_to_keep_it(tmp_path):
    (tmp_path / "file").write_text("")
    assert field_in_a_new_process(TORCHMAG_CACHE=str(tmp_path / "file" / "cache"))[1:] == (True, "")


@pytest.mark.parametrize("environment", [{"TORCHMAG_NATIVE": "0"}, {"CXX": "no-such-compiler"}])
def test_without_a_compiler(environment):
    norm, available, errors = field_in_a_new_process(**environment)
    assert not available and errors == ""
    assert norm == pytest.approx(field_in_a_new_process()[0], rel=1e-13)


def test_a_compiler_that_fails(tmp_path):
    path = tmp_path / "failing"
    path.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
    path.chmod(0o755)
    _, available, errors = field_in_a_new_process(CXX=str(path), TORCHMAG_CACHE=str(tmp_path / "cache"))
    assert not available
    assert "torch's own operators are used: out of order" in errors


def _child(energy, m, queue):
    queue.put(energy.field(m).double().sum().item())


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork():
    """The child of a process that has used threads has none of them."""
    energy, m = convolved((40, 40))[0], torch.randn(3, 41, 41, dtype=torch.float64)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        expected = energy.field(m).sum().item()
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        child = context.Process(target=_child, args=(energy, m, queue))
        child.start()
        assert queue.get(timeout=60) == pytest.approx(expected, rel=1e-9)
        child.join()
    finally:
        torch.set_num_threads(threads)
