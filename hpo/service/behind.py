"""How far MLflow is behind the ledger, asked of both when somebody wants to know."""

from collections.abc import Sequence
from datetime import datetime

from hpo.errors import TrackingError
from hpo.ledger.inspection import OPTUNA, read_database
from hpo.ledger.listing import read_ends
from hpo.service.status import StudyStatus
from hpo.settings import ServiceSettings


def seconds_behind(settings: ServiceSettings, studies: Sequence[StudyStatus]) -> float | None:
    """Give how long ago the oldest trial ended that MLflow does not have; None while it is away.

    Only studies that are not done are asked for: the others are complete, or said to be failed.

    Args:
        settings: Where ledger and tracking are.
        studies: Their states.

    Raises:
        LedgerError: The storage cannot be read.
    """
    asked = {
        study.name: study.uid
        for study in studies
        if study.state in ("running", "queued") and study.n_trials and study.uid
    }
    if not asked:
        return 0.0
    from hpo.tracking.study_runs import find_run_ids  # noqa: PLC0415 - it loads MLflow

    with read_database(settings.storage, OPTUNA) as connection:
        ends = read_ends(connection, asked)
    try:
        known = {
            name: find_run_ids(settings.tracking_uri, name, uid) for name, uid in asked.items()
        }
    except TrackingError:
        return None
    missing = [
        end
        for name, of_study in ends.items()
        for number, end in of_study.items()
        if number not in known[name]
    ]
    # Optuna keeps local times without a zone.
    now = datetime.now()  # noqa: DTZ005
    return max(((now - end).total_seconds() for end in missing), default=0.0)
