"""The process that measures one case: `python -m torchmag.bench.worker CASE`, a question from standard input, an answer, one JSON line each."""

import json
import os
import sys
import traceback

import torch

from torchmag.bench.cases import Case
from torchmag.bench.equation import Equation


def main() -> None:
    """Answer until the questions end; what fails is an answer, too."""
    # What compilers print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    case, equation = Case.of(json.loads(sys.argv[1])), None
    if case.threads:
        torch.set_num_threads(case.threads)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if equation is None:
                equation = Equation(case)
            answer = getattr(equation, question["do"])(question["mode"])
        except Exception as error:
            traceback.print_exc()
            answer = {"skipped": reason(error)}
            torch.cuda.empty_cache()
        print(json.dumps(answer), file=answers, flush=True)


def reason(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, torch.OutOfMemoryError):
        return "out of memory on the device"
    text = (str(error) or "no message").strip().splitlines()[0]
    return f"{type(error).__name__}: {text}"[:200]


if __name__ == "__main__":
    main()
