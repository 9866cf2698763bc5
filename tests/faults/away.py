"""How long a search takes whose MLflow is away from start to end: ``python -m tests.faults.away``;
bar: 1.1 times as with it.

The two take turns, and who begins alternates; compared are the medians of the search's own seconds,
as ``--json`` gives them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.support.commands import run_hpo
from tests.support.servers import free_port, serving_tracking

BAR = 1.1


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where the bar is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.away", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds (default: 3)")
    parser.add_argument("--trials", type=int, default=200, help="of each search (default: 200)")
    options = parser.parse_args(argv)
    seconds: dict[str, list[float]] = {"present": [], "away": []}
    with tempfile.TemporaryDirectory(prefix="hpo-away-") as directory:
        root = Path(directory)
        with serving_tracking(root, free_port()) as address:
            addresses = {"present": address, "away": f"http://127.0.0.1:{free_port()}"}
            for number in range(options.rounds + 1):
                for side in list(addresses) if number % 2 else list(reversed(addresses)):
                    where = root / f"{side}-{number}"
                    where.mkdir()
                    took = search_seconds(
                        where, addresses[side], options.trials, 0 if side == "present" else 3
                    )
                    print(
                        f"{'round ' + str(number) if number else 'warm-up'}, {side}: {took:.2f} s",
                        file=sys.stderr,
                        flush=True,
                    )
                    if number:
                        seconds[side].append(took)
    ratio = median(seconds["away"]) / median(seconds["present"])
    print(
        f"search of {options.trials} trials: away {median(seconds['away']):.2f} s, present {median(seconds['present']):.2f} s"
    )
    print(f"ratio {ratio:.2f}, bar {BAR}")
    return 0 if ratio <= BAR else 1


def search_seconds(directory: Path, address: str, n_trials: int, exit_code: int) -> float:
    """The search's own time in a fresh directory."""
    flags = (
        "--json",
        "--trials",
        str(n_trials),
        "--tracking-wait",
        "60" if exit_code == 0 else "1",
        "--name",
        directory.name,
    )
    process = run_hpo(directory, *flags, MLFLOW_TRACKING_URI=address)
    if process.returncode != exit_code:
        raise SystemExit(f"exit code {process.returncode} instead of {exit_code}\n{process.stderr}")
    return float(json.loads(process.stdout.splitlines()[0])["seconds"]["search"])


if __name__ == "__main__":
    sys.exit(main())
