"""Accuracy of the orders in space: the numbers and figures of docs/accuracy.md.

python scripts/accuracy STUDY [--redraw] [--schemes "order 4" "order 6"]
python scripts/accuracy page

Each study writes docs/pictures/accuracy/STUDY.csv and STUDY.png (no figure of `gyration`, nothing of `lens` and `cost`) and prints its tables;
--redraw takes the numbers of the file.  `page` puts the numbers of the files into the tables of docs/accuracy.md.
"""

import argparse
import importlib

import report
import torch

STUDIES = (
    "dispersion",
    "walls",
    "skyrmion",
    "film",
    "cube",
    "sp4",
    "sp3",
    "sp5",
    "vortex",
    "gyration",
    "lens",
    "edges",
    "jumps",
    "cost",
    "page",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--redraw", action="store_true", help="tables and figure from the file")
    parser.add_argument(
        "--schemes", nargs="+", choices=report.SCHEMES, default=report.SCHEMES, help="those to compute; rows of others stay"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    report.computed = tuple(options.schemes)
    importlib.import_module(options.study).main(options.redraw)


if __name__ == "__main__":
    main()
