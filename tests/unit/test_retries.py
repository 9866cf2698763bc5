"""Each verb of the ledger's storage, by a double that fails a few times and then succeeds, and by
one that never does.

A double fails before its work or after it: then the work is done and only the answer is lost. Those
of tracking are in
``test_follower``.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial

import hpo.ledger.failures
import hpo.ledger.storage
from hpo.errors import InterruptedBySignal, LedgerError
from hpo.ledger.failures import never
from hpo.ledger.identity import IDENTITY
from hpo.ledger.ledger import Ledger
from hpo.ledger.storage import open_driven, quiet_optuna
from tests.unit.driving import OpenStudy, define, drive, facts, open_study

N_TRIALS = 8
ALWAYS = 10**9
VERBS = (
    "get_study_id_from_name",
    "get_all_trials",
    "get_trial_id_from_study_id_trial_number",
    "count_trials",
    "start_trial",
    "set_trial_param",
    "set_trial_user_attr",
    "set_trial_state_values",
    "finish_trial",
)
# The verb that is asked what became of another one, whose answer was lost.
LOOKED_UP_BY = (
    ("start_trial", "count_trials"),
    ("start_trial", "get_trial_id_from_study_id_trial_number"),
)
REFUSED_OR_LOST = pytest.mark.parametrize("after", [False, True], ids=["refused", "answer-lost"])


class Flaky:
    """Another object, one verb of which fails so many times, before its work or after it, once it
    went well so many times.
    """

    def __init__(
        self,
        inner: Any,
        verb: str,
        n_failures: int,
        error: Exception,
        *,
        after: bool = False,
        n_well: int = 0,
    ) -> None:
        self._inner, self._verb, self._error, self._after = inner, verb, error, after
        self.n_left, self.n_well, self.n_calls = n_failures, n_well, 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return self._failing(attribute) if name == self._verb else attribute

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.n_calls += 1
            if not self.n_left or self.n_calls <= self.n_well:
                return method(*arguments, **keywords)
            self.n_left -= 1
            if self._after:
                method(*arguments, **keywords)
            raise self._error

        return call


class Lossy:
    """Another object, a share of whose calls fails at random: half of them before their work, half
    after it.
    """

    def __init__(self, inner: Any, share: float, seed: int, error: Exception) -> None:
        self._inner, self._share, self._random, self._error = (
            inner,
            share,
            random.Random(seed),
            error,
        )
        self.n_failures = 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._inner, name)
        return self._failing(attribute) if callable(attribute) else attribute

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            fate = self._random.random()
            answer = method(*arguments, **keywords) if fate >= self._share / 2 else None
            if fate < self._share:
                self.n_failures += 1
                raise self._error
            return answer

        return call


def gone(*, may_pass: bool = True) -> LedgerError:
    return LedgerError("the storage is gone for a moment", may_pass=may_pass)


@pytest.fixture(autouse=True)
def _be_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.ledger.failures, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.fixture
def _gives_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpo.ledger.failures, "RETRY_SECONDS", 0.3)


def begin(url: str) -> None:
    """A study with three finished trials, one that a killed driver left and one that a person
    queued.
    """
    with open_study(url) as ledger:
        drive(ledger, 3)
        ledger.next_slot(N_TRIALS)
        optuna.load_study(study_name="iris", storage=url).enqueue_trial({"C": 0.5})


def read(url: str) -> list[tuple[Any, ...]]:
    return facts(optuna.load_study(study_name="iris", storage=url).get_trials())


def read_states(url: str) -> list[str]:
    return [state.name for _, state, *_ in read(url)]


@pytest.fixture(scope="module")
def begun(_empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("begun") / "optuna.db"
    shutil.copy(_empty_database, path)
    begin(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def undisturbed(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, ...]]:
    url = f"sqlite:///{shutil.copy(begun, tmp_path_factory.mktemp('undisturbed') / 'optuna.db')}"
    with open_study(url) as ledger:
        drive(ledger, N_TRIALS)
    return read(url)


@pytest.fixture
def url(begun: Path, tmp_path: Path) -> str:
    """A study that is begun: every verb is needed to go on with it."""
    return f"sqlite:///{shutil.copy(begun, tmp_path / 'optuna.db')}"


@contextmanager
def driven_by(url: str, wrap: Callable[[Any], Any], stop_signal: Any = never) -> Iterator[Any]:
    """Drive the study to its end on a double of its storage."""
    with quiet_optuna(), open_driven(url, "iris", wait=lambda _: False) as storage:
        identity = optuna.load_study(study_name="iris", storage=storage).user_attrs[IDENTITY]
        double = wrap(storage)
        yield double
        ledger = Ledger(double, "iris", identity, stop_signal)
        drive(OpenStudy(ledger, define()), N_TRIALS)


def test_begun_study_is_what_the_doubles_need(url, undisturbed):
    assert read_states(url) == ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING", "WAITING"]
    # The queued trial is number 4, and every fifth fails.
    assert [state.name for _, state, *_ in undisturbed] == [
        *["COMPLETE"] * 4,
        "FAIL",
        *["COMPLETE"] * 3,
    ]


@REFUSED_OR_LOST
@pytest.mark.parametrize("verb", VERBS)
def test_storage_that_fails_three_times_changes_nothing(url, undisturbed, verb, after):
    with driven_by(url, lambda storage: Flaky(storage, verb, 3, gone(), after=after)) as flaky:
        pass
    assert not flaky.n_left
    assert read(url) == undisturbed


@REFUSED_OR_LOST
@pytest.mark.parametrize(("verb", "looked_up_by"), LOOKED_UP_BY)
def test_look_up_that_fails_too_changes_nothing(url, undisturbed, verb, looked_up_by, after):
    def wrap(storage: Any) -> Flaky:
        return Flaky(Flaky(storage, verb, 1, gone(), after=after), looked_up_by, 3, gone())

    with driven_by(url, wrap) as flaky:
        pass
    assert not after or not flaky.n_left
    assert read(url) == undisturbed


@pytest.mark.usefixtures("_gives_up_soon")
@pytest.mark.parametrize("verb", VERBS)
def test_storage_that_never_succeeds_is_one_line_and_the_next_run_goes_on(url, undisturbed, verb):
    line = r"^the storage is gone for a moment$"
    with (
        pytest.raises(LedgerError, match=line) as caught,
        driven_by(url, lambda storage: Flaky(storage, verb, ALWAYS, gone())) as flaky,
    ):
        pass
    assert caught.value.exit_code == 4
    assert flaky.n_calls > 1
    # Whatever was open is still open: nothing that is half a trial counts.
    assert read_states(url)[3:] in (
        ["RUNNING", "WAITING"],
        ["COMPLETE", "WAITING"],
        ["COMPLETE", "FAIL"],
        ["COMPLETE", "FAIL", "RUNNING"],
    )
    with open_study(url) as ledger:
        drive(ledger, N_TRIALS)
    assert read(url) == undisturbed


@pytest.mark.usefixtures("_gives_up_soon")
@pytest.mark.parametrize(("verb", "looked_up_by"), LOOKED_UP_BY)
def test_look_up_that_never_succeeds_is_one_line_and_the_next_run_goes_on(
    url, undisturbed, verb, looked_up_by
):
    def wrap(storage: Any) -> Flaky:
        return Flaky(Flaky(storage, verb, 1, gone(), after=True), looked_up_by, ALWAYS, gone())

    with (
        pytest.raises(LedgerError, match=r"^the storage is gone for a moment$"),
        driven_by(url, wrap),
    ):
        pass
    with open_study(url) as ledger:
        drive(ledger, N_TRIALS)
    assert read(url) == undisturbed


@pytest.mark.usefixtures("_gives_up_soon")
@pytest.mark.parametrize("verb", VERBS)
def test_answers_that_never_come_lose_nothing(url, undisturbed, verb):
    with (
        suppress(LedgerError),
        driven_by(url, lambda storage: Flaky(storage, verb, ALWAYS, gone(), after=True)),
    ):
        pass
    with open_study(url) as ledger:
        drive(ledger, N_TRIALS)
    assert read(url) == undisturbed


@pytest.mark.parametrize("seed", range(4))
def test_storage_that_fails_at_random_changes_nothing(url, undisturbed, seed, monkeypatch):
    monkeypatch.setattr(hpo.ledger.failures, "LONGEST_PAUSE_SECONDS", 0.002)
    with driven_by(url, lambda storage: Lossy(storage, 0.4, seed, gone())) as lossy:
        pass
    assert lossy.n_failures > 4
    assert read(url) == undisturbed


@pytest.mark.parametrize("verb", VERBS)
def test_reason_that_does_not_pass_is_not_tried_again(url, verb):
    with (
        pytest.raises(LedgerError, match="gone"),
        driven_by(url, lambda storage: Flaky(storage, verb, ALWAYS, gone(may_pass=False))) as flaky,
    ):
        pass
    assert flaky.n_calls == 1


@pytest.mark.parametrize("verb", VERBS)
def test_signal_ends_the_patience(url, undisturbed, verb):
    started = time.monotonic()
    with (
        pytest.raises(
            InterruptedBySignal, match=r"^stopped while the storage is gone for a moment$"
        ) as caught,
        driven_by(
            url, lambda storage: Flaky(storage, verb, ALWAYS, gone()), lambda: signal.SIGTERM
        ),
    ):
        pass
    assert (caught.value.exit_code, caught.value.hint) == (
        143,
        "run the same command again to go on",
    )
    assert time.monotonic() - started < 10
    with open_study(url) as ledger:
        drive(ledger, N_TRIALS)
    assert read(url) == undisturbed


class Joined(Flaky):
    """Somebody adds a trial while the verb fails."""

    def __init__(self, inner: Any, verb: str, add: Callable[[], object]) -> None:
        super().__init__(inner, verb, 1, gone())
        self._add = add

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        call = super()._failing(method)

        def call_joined(*arguments: Any, **keywords: Any) -> Any:
            if self.n_left:
                self._add()
            return call(*arguments, **keywords)

        return call_joined


@pytest.mark.parametrize("queued", [True, False], ids=["queued", "finished"])
def test_trial_that_somebody_adds_while_the_storage_is_away_is_not_taken_for_ours(
    storage_url, queued
):
    with open_study(storage_url) as ledger:
        drive(ledger, 2)
    study = optuna.load_study(study_name="iris", storage=storage_url)
    trial = (
        create_trial(state=TrialState.WAITING, system_attrs={"fixed_params": {"C": 0.5}})
        if queued
        else create_trial(value=1.0)
    )
    line = r"^trial 2 was stored as number 3: trials were added to this study meanwhile$"
    with (
        pytest.raises(LedgerError, match=line),
        driven_by(
            storage_url,
            lambda storage: Joined(storage, "start_trial", lambda: study.add_trial(trial)),
        ),
    ):
        pass
    assert read_states(storage_url)[2:] == ["WAITING" if queued else "COMPLETE", "RUNNING"]
    assert study.get_trials()[2].user_attrs == {}
