import os
import warnings

import pytest
import torch

# Numbers to the last bit, however slow the machine: what compiles by itself has tests of its own.
os.environ.setdefault("TORCHMAG_COMPILE", "0")
# The meshes of the tests are small: a second thread costs more than it gives.
torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")
    parser.addoption("--long", action="store_true", help="with --slow: the whole of ubermag's test suite")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def float64():
    """Physics is checked in float64 unless a test says otherwise; the default is restored afterwards."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device(request.param)


def pytest_configure(config):
    # torch says once in a process that float() of a tensor with a gradient loses the gradient; tests mean to.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        float(torch.ones((), requires_grad=True))
