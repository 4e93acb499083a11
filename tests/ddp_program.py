"""Run by torchrun from test_distributed.py: one gradient of an ensemble under DistributedDataParallel."""

import os
import sys

import torch
import torch.distributed as dist
from torch import nn

import torchmag as tm

RUNS = 4


class Loss(nn.Module):
    """Mean of <m_z> after 10 ps over some fields, with one trainable anisotropy map."""

    def __init__(self):
        super().__init__()
        film = tm.Magnet(tm.Mesh((4, 3), (5e-9, 5e-9, 3e-9)), 8e5)
        Ku = nn.Parameter(torch.linspace(1e4, 5e4, 12).reshape(4, 3))
        energy = tm.Exchange(film, 1.3e-11) + tm.UniaxialAnisotropy(film, Ku, (0, 0, 1)) + tm.Zeeman(film, (0.0, 0.0, 0.0))
        self.llg = tm.LLG(energy + tm.Demag(film), alpha=0.1)

    def forward(self, H):
        self.llg.energy.zeeman.H = H[:, :, None, None]
        m0 = tm.uniform(self.llg.mesh, (1, 0.2, 0.3))
        return tm.solve(self.llg, m0, [0.0, 1e-11], step=1e-12)[-1, :, 2].mean()


def fields():
    return torch.stack([torch.tensor([2e4, 3e3 * n, 1e4]) for n in range(RUNS)])


def gradient(loss):
    return loss.llg.energy.uniaxial_anisotropy.Ku.grad


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    dist.init_process_group("gloo")
    model = Loss()
    # The fields of each process are buffers that differ: nothing to broadcast.
    parallel = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    parallel(fields()[dist.get_rank() :: dist.get_world_size()]).backward()
    if dist.get_rank() == 0:
        torch.save(gradient(model), sys.argv[1])
    dist.destroy_process_group()
    # One of ten processes was ended at its exit, all work done, by a thread that nobody had joined ("terminate called without an
    # active exception"): not what is tested here.
    sys.stdout.flush()
    os._exit(0)
