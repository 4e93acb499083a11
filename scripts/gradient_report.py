"""Accuracy, memory and cost of gradients: prints the tables of gradients-figures.md.

python scripts/gradient_report.py [--section accuracy] [--peer-python PATH] [--out gradients-figures.md]
"""

import argparse
import os
import platform
import re
import time
from pathlib import Path

import torch
from gradients import accuracy, cost, implicit, memory, peers

SECTIONS = {
    "accuracy": ("Exact gradients of 20 random problems", accuracy.section),
    "memory": ("Peak memory of a gradient", memory.section),
    "cost": ("Cost of value and gradient over the cost of the value", cost.section),
    "peers": ("Beside NeuralMag", peers.section),
    "implicit": ("Gradients of equilibria", implicit.section),
}


def machine():
    """What the numbers were measured on."""
    cpu = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", cpu.read_text()) if cpu.exists() else None
    name = found[1] if found else platform.processor()
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), torch {torch.__version__}, Python {platform.python_version()}"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--section", action="append", choices=SECTIONS, help="may be given more than once; default: all")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--peer-python", help='a Python with "neuralmag[jax,torch]", for the section peers')
    parser.add_argument("--peer-backends", nargs="+", choices=peers.BACKENDS, default=peers.BACKENDS, help="of NeuralMag")
    parser.add_argument("--out", type=Path, help="a Markdown file to write the tables to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.set_default_dtype(torch.float64)
    lines = []

    def put(line):
        print(line, flush=True)
        lines.append(line)

    put("# Gradients: figures\n")
    put(f"Printed by `scripts/gradient_report.py` on: {machine()}; float64. Times vary with the load of the machine.")
    for name in options.section or SECTIONS:
        title, section = SECTIONS[name]
        put(f"\n## {title}\n")
        start = time.perf_counter()
        for line in section(options):
            put(line)
        print(f"({name}: {time.perf_counter() - start:.0f} s)", flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
