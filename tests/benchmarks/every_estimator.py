"""Run ``hpo`` with every estimator that scikit-learn lists: ``python -m tests.benchmarks.every_estimator``.

Each gets three trials on a small table with gaps, categories, truth values and dates, in this
process. It ends in a model or in one line; anything else is printed, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.support.estimators import TABLE, listed, run_estimator, usual_space, write_customers
from tests.support.fixtures import copy_databases, make_databases

N_ROWS = 150


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="this name alone")
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    logging.disable(logging.INFO)  # MLflow says that it makes its tables
    with tempfile.TemporaryDirectory(prefix="hpo-estimators-") as root:
        empty = Path(root) / "empty"
        empty.mkdir()
        make_databases(empty)
        for name, kind in listed().items():
            if options.only not in (None, name):
                continue
            directory = Path(root) / name
            directory.mkdir()
            copy_databases(empty, directory)
            write_customers(directory / TABLE, N_ROWS)
            started = time.monotonic()
            end, said = run_estimator(directory, name, usual_space(kind))
            counts[end] += 1
            shown = "" if end == "model" else f": {said}"
            print(f"{name}, {time.monotonic() - started:.1f} s: {end}{shown}", flush=True)
    print(", ".join(f"{end}: {count}" for end, count in counts.items()))
    return 1 if counts["anything else"] else 0


if __name__ == "__main__":
    sys.exit(main())
