"""Accuracy of the orders in space: the numbers and figures of docs/accuracy.md.

python scripts/accuracy STUDY [--redraw]

Each study writes docs/pictures/accuracy/STUDY.csv and STUDY.png (not `gyration` and `cost`) and prints its tables; --redraw takes the numbers of the file.
"""

import argparse
import importlib

import torch

STUDIES = ("dispersion", "walls", "skyrmion", "film", "cube", "sp4", "sp3", "vortex", "gyration", "edges", "jumps", "cost")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--redraw", action="store_true", help="tables and figure from the file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    importlib.import_module(options.study).main(options.redraw)


if __name__ == "__main__":
    main()
