"""The soak: ``python -m tests.faults --soak MINUTES [--seed N]``, ``--kills 100 [--server]``,
``--races 20`` and ``--service [--kills 40]``.

``--service`` hands twenty studies in to three servers and kills those, their processes, MLflow and
PostgreSQL.

``--soak`` disturbs several studies at once in every way there is, on SQLite and PostgreSQL, with an
MLflow server. Round k has the seed N + k: a finding names it, and ``--soak 0.1 --seed`` with it
plays that round alone.

Runs are killed with SIGKILL at random times, half of them the driver alone and half its whole
process group, and each study is
resumed until it is done. Everything that is counted must be 0 then: the exit code says so.
"""

import argparse
import signal
import sys
from collections.abc import Sequence

from .rounds import Tally, storm_for
from .serving import ServiceReport, storm_service
from .soak import Report, race_often, soak


def main(argv: Sequence[str] | None = None) -> int:
    """Soak and print; 1 where anything was lost, doubled, left running or different."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--soak", type=float, default=0, help="minutes of a storm (default: 0)")
    parser.add_argument("--kills", type=int, default=0, help="runs to kill (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="decides when (default: 0)")
    parser.add_argument(
        "--server", action="store_true", help="MLflow is a server that loses a tenth of its answers"
    )
    parser.add_argument("--trials", type=int, default=60, help="of each study (default: 60)")
    parser.add_argument(
        "--races", type=int, default=0, help="rounds of two drivers at once (default: 0)"
    )
    parser.add_argument(
        "--service",
        action="store_true",
        help="studies handed in to servers; --kills: 40 unless given",
    )
    options = parser.parse_args(argv)
    # Servers are in groups of their own: they end with this process however it is asked to end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reports: list[Report | ServiceReport | Tally] = []
    if options.service:
        reports.append(storm_service(options.kills or 40, seed=options.seed, note=note))
        print(reports[-1].to_text())
        return 0 if reports[-1].is_good else 1
    if options.soak:
        reports.append(storm_for(60 * options.soak, seed=options.seed, note=note))
        print(reports[-1].to_text())
    if options.kills:
        reports.append(
            soak(
                options.kills,
                seed=options.seed,
                server=options.server,
                n_trials=options.trials,
                note=note,
            )
        )
        print(reports[-1].to_text())
    if options.races:
        reports.append(race_often(options.races, note=note))
        print(f"{options.races} races of two drivers\n{reports[-1].to_text()}")
    return 0 if reports and all(report.is_good for report in reports) else 1


def note(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
