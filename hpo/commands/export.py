"""``export``: a study's trials as a table, or as one JSON object."""

import argparse
from pathlib import Path

from hpo.commands.environment import use_mlflow_here
from hpo.commands.inputs import settings_of
from hpo.commands.output import print_csv, print_json, say_error
from hpo.errors import HpoError, TrackingError
from hpo.ledger.inspection import OPTUNA, read_database
from hpo.ledger.listing import find_study, list_studies


def export(options: argparse.Namespace) -> int:
    """Write the table to a file or to standard output."""
    settings = settings_of(options)
    use_mlflow_here()
    from hpo.data.tables import check_output, write_table
    from hpo.ledger.storage import read_study
    from hpo.results.trials_table import describe_trial, make_table
    from hpo.tracking.study_runs import find_run_ids

    path = None if options.csv is None else Path(options.csv)
    if path is not None:
        check_output(path)
    with read_database(settings.storage, OPTUNA) as connection:
        study = find_study(list_studies(connection), options.name, settings.storage)
    trials = read_study(settings.storage, study.name)
    run_ids: dict[int, str] = {}
    problem: HpoError | None = None
    try:
        run_ids = find_run_ids(settings.tracking_uri, study.name, study.uid)
    except TrackingError as error:
        problem = error
    described = [describe_trial(trial, run_ids.get(trial.number)) for trial in trials]
    if path is not None:
        write_table(make_table(described), path)
    if options.json:
        print_json({"study": study.name, "trials": described})
    elif path is None:
        print_csv(make_table(described))
    if problem is not None:
        say_error(problem)
    return 0 if problem is None else problem.exit_code
