"""``delete``: deletes a study from Optuna's storage, and moves what MLflow has of it to its trash.

MLflow's part comes first: killed in between, the study is still in the ledger, with the uid by
which MLflow's runs are found, and the same command goes on.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hpo.commands.environment import use_mlflow_here
from hpo.commands.inputs import settings_of
from hpo.commands.output import ask, print_result
from hpo.errors import InputError
from hpo.escaping import hide_password
from hpo.ledger.deletion import delete_study, locked_for_deletion
from hpo.ledger.inspection import OPTUNA, read_database
from hpo.ledger.listing import ListedStudy, find_study, is_nested, list_studies
from hpo.ledger.queue import find_kept_table, read_queue

if TYPE_CHECKING:
    from hpo.tracking.trash import Holding


def delete(options: argparse.Namespace) -> int:
    """Ask, delete, and say what was deleted."""
    settings = settings_of(options)
    storage_url, tracking_uri = settings.storage, settings.tracking_uri
    with read_database(storage_url, OPTUNA) as connection:
        studies = list_studies(connection)
        queue = read_queue(connection)
    study = find_study(studies, options.name, storage_url)
    nested = [other for other in studies if is_nested(other.name, study.name)]
    table, sharer = find_kept_table(queue, study.name)
    use_mlflow_here()
    from hpo.tracking.kept_tables import forget_table
    from hpo.tracking.trash import find_holdings, move_to_trash

    with locked_for_deletion(storage_url, study) as storage:
        holdings = [] if study.uid is None else find_holdings(tracking_uri, study.uid)
        done = _describe(study, nested, holdings, hide_password(storage_url))
        done["table"], done["shared"] = _describe_table(table, sharer)
        question = "delete " + "; ".join(
            filter(None, (done[key] for key in ("ledger", "mlflow", "table")))
        )
        if not options.yes and not ask(question):
            raise InputError("nothing was deleted", hint="answer y, or give --yes")
        move_to_trash(tracking_uri, holdings, str(study.uid))
        for other in nested:
            with locked_for_deletion(storage_url, other) as of_nested:
                delete_study(of_nested, other)
        delete_study(storage, study)
    if done["table"]:
        # Last: a study that is still there could not be driven without it.
        forget_table(tracking_uri, table["digest"])
    text = "\n".join(f"{_LABELS[key]:<9} {line}" for key, line in done.items() if line)
    print_result(_to_json(study, nested, holdings), text, as_json=options.json)
    return 0


_LABELS = {
    "ledger": "deleted",
    "mlflow": "trash",
    "kept": "kept",
    "table": "trash",
    "shared": "kept",
}


def _describe_table(table: Mapping[str, str], sharer: str | None) -> tuple[str, str]:
    """Describe a kept table that goes to the trash, or one that stays; one of the two is empty."""
    if "digest" not in table:
        return "", ""
    name = f"the table {table['name']}"
    return ("", f"{name}, which study '{sharer}' uses too") if sharer else (name, "")


def _describe(
    study: ListedStudy, nested: Sequence[ListedStudy], holdings: Sequence["Holding"], place: str
) -> dict[str, str]:
    """Describe what is deleted, what goes to MLflow's trash, and what stays; a line each."""
    more = f", nested studies: {len(nested)}" if nested else ""
    lines = {
        "ledger": f"study '{study.name}' of {place} (trials: {study.n_trials}{more})",
        "mlflow": "",
        "kept": "",
    }
    if holdings:
        lines["mlflow"] = ", ".join(
            f"{'' if holding.is_whole else 'of '}MLflow's experiment"
            f" {holding.experiment.experiment_id}"
            f" (runs: {len(holding.runs)}, logged models: {len(holding.model_ids)})"
            for holding in holdings
        )
    versions = [version for holding in holdings for version in holding.versions]
    if versions:
        named = ", ".join(f"{name} version {number}" for name, number in versions)
        lines["kept"] = f"{named}, with the logged models that they are made of"
    return lines


def _to_json(
    study: ListedStudy, nested: Sequence[ListedStudy], holdings: Sequence["Holding"]
) -> dict[str, Any]:
    return {
        "study": study.name,
        "n_trials": study.n_trials,
        "nested": [other.name for other in nested],
        "experiments": [
            {
                "experiment_id": holding.experiment.experiment_id,
                "is_whole": holding.is_whole,
                "n_runs": len(holding.runs),
                "n_models": len(holding.model_ids),
                "kept_versions": [
                    {"name": name, "version": number} for name, number in holding.versions
                ],
            }
            for holding in holdings
        ],
    }
