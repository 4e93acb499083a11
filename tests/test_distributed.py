"""Training over an ensemble: under DistributedDataParallel the gradient is that of one process."""

import os
import subprocess
import sys
from pathlib import Path

import ddp_program
import pytest
import torch


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no distributed package")
def test_gradient_over_two_processes(tmp_path):
    program = Path(ddp_program.__file__)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(program),
        str(tmp_path / "g.pt"),
    ]
    root = str(Path(__file__).parent.parent)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    loss = ddp_program.Loss()
    loss(ddp_program.fields()).backward()
    torch.testing.assert_close(torch.load(tmp_path / "g.pt"), ddp_program.gradient(loss), rtol=1e-12, atol=0)
