"""``list``: the studies of a storage, and where they are."""

import argparse
from collections.abc import Mapping, Sequence

from hpo.commands.environment import use_mlflow_here
from hpo.commands.inputs import settings_of
from hpo.commands.output import align, print_json, print_text, say, say_error
from hpo.errors import HpoError, TrackingError
from hpo.escaping import hide_password, on_one_line
from hpo.ledger.inspection import OPTUNA, read_database, read_drivers
from hpo.ledger.listing import ListedStudy, list_studies

_WORDS = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "queued",
}
_HEADER = ("study", "trials", "best", "MLflow", "driven by")


def list(options: argparse.Namespace) -> int:  # noqa: A001 - the command's name
    """Print a line for each study."""
    settings = settings_of(options)
    with read_database(settings.storage, OPTUNA) as connection:
        studies = list_studies(connection)
        names = [study.name for study in studies]
        drivers = read_drivers(settings.storage, connection, names)
    experiments: Mapping[str, str] = {}
    problem: HpoError | None = None
    if studies:
        use_mlflow_here()
        from hpo.tracking.study_runs import find_experiments

        try:
            experiments = find_experiments(
                settings.tracking_uri, {study.name: study.uid for study in studies}
            )
        except TrackingError as error:
            problem = error
    _print(studies, experiments, drivers, as_json=options.json)
    if not studies:
        say(f"{hide_password(settings.storage)} has no study (python -m hpo.run makes one)")
    if problem is not None:
        say_error(problem)
    return 0 if problem is None else problem.exit_code


def _print(
    studies: Sequence[ListedStudy],
    experiments: Mapping[str, str],
    drivers: Mapping[str, str],
    *,
    as_json: bool,
) -> None:
    if as_json:
        of_all = (
            {
                **study.to_json(),
                "experiment_id": experiments.get(study.name),
                "driver": drivers.get(study.name),
            }
            for study in studies
        )
        print_json({"studies": [*of_all]})
    elif studies:
        rows = [
            _row(study, experiments.get(study.name), drivers.get(study.name)) for study in studies
        ]
        print_text(align([_HEADER, *rows]))


def _row(study: ListedStudy, experiment: str | None, driver: str | None) -> tuple[str, ...]:
    trials = ", ".join(
        f"{study.states[state]} {word}" for state, word in _WORDS.items() if state in study.states
    )
    best = "" if study.best is None else f"{study.best:.4f} {study.metric or ''}".strip()
    where = "" if experiment is None else f"experiment {experiment}"
    cells = (study.name, trials or "none", best, where, driver or "")
    return tuple(map(on_one_line, cells))
