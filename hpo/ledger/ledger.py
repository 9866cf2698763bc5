"""The ledger: a study that is open and locked; trials are added and ended here.

Sole owner of the study in the storage. A trial enters it whole, RUNNING with its params, in one
transaction, and is ended with all its results in another. A trial that a dead driver left RUNNING
is still the study's: whoever drives next scores it again, under its number.
"""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import IntegrityError

from hpo.errors import LedgerError, StudyLockedError
from hpo.ledger.damage import reading
from hpo.ledger.failures import never, repeat, say_nothing
from hpo.ledger.guard import guard_study, study_gone
from hpo.ledger.identity import StudyIdentity, open_study
from hpo.ledger.places import Whereabouts, settle
from hpo.ledger.storage import open_driven, quiet_optuna
from hpo.ledger.transactions import LedgerStorage
from hpo.ledger.trials import DERIVED, is_foreign

T = TypeVar("T")
Params = Mapping[str, Any]
Distributions = Mapping[str, BaseDistribution]


class Ledger:
    """An open study; made by :func:`open_ledger`.

    Attributes:
        uid: 32 hexadecimal digits, the study's own until it is copied.
        study_id: The storage's own id of it.
        has_same_versions: Whether every run of it had the versions that it was begun with.
        notes: What a person should know of a study that is resumed, one line each.
    """

    def __init__(
        self,
        storage: LedgerStorage,
        name: str,
        identity: Mapping[str, Any],
        stop_signal: Callable[[], int | None] = never,
        note: Callable[[str], None] = say_nothing,
    ) -> None:
        self.uid = str(identity["uid"])
        self.uids = {self.uid}
        self.has_same_versions = not identity.get("has_other_versions", False)
        self.notes = tuple(identity.get("notes", ()))
        self._name = name
        self._storage = storage
        self._stop_signal = stop_signal
        self._note = note
        self.study_id = self._repeat(lambda _: storage.get_study_id_from_name(name))

    def settle(self, place: str, *, makes_uid: bool) -> Whereabouts:
        """Keep with the study where it is driven, under a new uid where that is asked for.

        Args:
            place: Stands for the ledger's database.
            makes_uid: Whether it is a copy that is to be a study of its own.
        """
        new_uid = uuid.uuid4().hex if makes_uid else None
        self.uids |= {new_uid} if new_uid else set()
        where = self._repeat(lambda _: settle(self._storage, self.study_id, place, new_uid=new_uid))
        self.uid = where.uid
        return where

    def trials(self) -> list[FrozenTrial]:
        """All trials as the storage has them, by number.

        Raises:
            LedgerError: One of them holds what cannot be read.
        """

        def read(_: bool) -> list[FrozenTrial]:
            self._storage.check_study(self._name)
            with reading(self._name):
                return self._storage.get_all_trials(self.study_id, deepcopy=False)

        return self._repeat(read)

    def count(self) -> int:
        """Count all trials, those that other clients added too."""
        return self._repeat(lambda _: self._storage.count_trials(self.study_id))

    def annotate(self, notes: Mapping[int | None, str]) -> None:
        """Write the dashboard notes of trials, by number, and of the study, under None; at once."""
        self._repeat(lambda _: self._storage.write_notes(self.study_id, notes))

    def add(
        self, number: int, params: Params, distributions: Distributions, derived: Params
    ) -> int:
        """Add a trial that is RUNNING, with all its params.

        Args:
            number: Its number: that of the next one.
            params: As the sampler chose them.
            distributions: Those of the params, by name.
            derived: The params that were not chosen.

        Returns:
            The storage's own id of it.
        """
        template = create_trial(
            state=TrialState.RUNNING,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs={DERIVED: dict(derived)},
        )

        def create(is_repeated: bool) -> tuple[int, int]:
            if is_repeated and self._storage.count_trials(self.study_id) > number:
                found = self._find_made(number, template)
                if found is not None:
                    return found
            return self._storage.start_trial(self.study_id, template)

        trial_id, found = self._repeat(create)
        if found != number:
            raise LedgerError(
                f"trial {number} was stored as number {found}:"
                " trials were added to this study meanwhile",
                hint="run the same command again: it takes up what was added",
            )
        return trial_id

    def start_queued(
        self, trial_id: int, params: Params, distributions: Distributions, derived: Params
    ) -> None:
        """Give a queued trial all its params, then let it run; one that was ended stays as it is.

        Killed in between it is still queued, for the same params.
        """

        def store(_: bool) -> None:
            with suppress(UpdateFinishedTrialError):
                for name, distribution in distributions.items():
                    internal = distribution.to_internal_repr(params[name])
                    self._storage.set_trial_param(trial_id, name, internal, distribution)
                self._storage.set_trial_user_attr(trial_id, DERIVED, dict(derived))
                self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)

        self._repeat(store)

    def tell(self, number: int, trial_id: int, result: FrozenTrial) -> bool:
        """End a trial with all its results at once: until then it is RUNNING and would be adopted.

        Args:
            number: The trial's.
            trial_id: The storage's own id of it.
            result: Its state, value, intermediate values, user attributes, start and end.

        Returns:
            False where another client has ended it; then nothing is stored.

        Raises:
            LedgerError: Another driver has scored it.
        """

        def store(is_repeated: bool) -> bool:
            if self._storage.finish_trial(trial_id, result):
                return True
            # An attempt whose answer was lost may have stored it.
            stored = self._storage.get_trial(trial_id)
            if is_foreign(stored):
                return False
            if not is_repeated:
                raise LedgerError(
                    f"trial {number} was scored by another driver meanwhile",
                    hint="let one driver own the study; the same command goes on",
                )
            return True

        return self._repeat(store)

    def find(self, number: int) -> int:
        """The storage's own id of a trial."""
        return self._repeat(
            lambda _: self._storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        )

    def _find_made(self, number: int, template: FrozenTrial) -> tuple[int, int] | None:
        """Id and number of the trial of an attempt whose answer was lost; others may follow it."""
        made = (template.state, template.params, template.user_attrs)
        for trial in self._storage.get_all_trials(self.study_id, deepcopy=False)[number:]:
            if (trial.state, trial.params, trial.user_attrs) == made:
                return self.find(trial.number), trial.number
        return None

    def _repeat(self, action: Callable[[bool], T]) -> T:
        def act(is_repeated: bool) -> T:
            try:
                return action(is_repeated)
            except (KeyError, IntegrityError) as error:
                raise study_gone(self._name) from error

        return repeat(act, self._stop_signal, self._note)


@contextmanager
def open_ledger(
    storage_url: str,
    study: StudyIdentity,
    *,
    stop_signal: Callable[[], int | None] = never,
    wait: Callable[[StudyLockedError], bool] = lambda _: False,
    note: Callable[[str], None] = say_nothing,
) -> Iterator[Ledger]:
    """Lock, create or resume a study; the lock is held for the length of the ``with`` block.

    Args:
        storage_url: SQLAlchemy URL.
        study: What makes it this study.
        stop_signal: Gives the number of a signal that asked to stop, or None; asked while the
            storage is away.
        wait: Asked with the reason while another driver has the study; false gives up.
        note: Takes one line that says what is waited for.

    Raises:
        StudyLockedError: Another driver has the study.
        IdentityError: The study was begun with another definition or other data.
        LedgerError: The storage cannot be opened.
    """
    with (
        quiet_optuna(),
        open_driven(
            storage_url, study.name, wait=wait, stop_signal=stop_signal, note=note
        ) as storage,
    ):
        identity = repeat(lambda _: open_study(storage, study), stop_signal, note)
        ledger = Ledger(storage, study.name, identity, stop_signal, note)
        guard_study(storage.engine, ledger.study_id, study.name, ledger.uids)
        yield ledger
