"""Anything that may be done to a study, in any order; the next runs converge or lead on.

Hypothesis chooses the order. What each rule expects of the command is in ``_run``, what holds in
the end in ``teardown``.
"""

import re
import signal
import tempfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from optuna.trial import FrozenTrial

from tests.support.checker import STATUS_OF, check_params, check_scores
from tests.support.here import Ended, call_main
from tests.support.servers import free_port
from tests.support.stores import close_stores, stores_of

from . import points
from .converging import model_bytes
from .forking import Copy

TABLE = "".join(f"{x % 7},{x * x % 11},{'ab'[x % 5 > 1]}\n" for x in range(40))
STUDY_FILE = """
[study]
name = "any"
[data]
source = "t.csv"
target = "y"
[cv]
n_splits = 2
"""
MAX_TRIALS = 6
POINTS = (
    points.OPEN_STUDY,
    points.DESCRIBE_STUDY,
    points.CREATE_TRIAL,
    points.SCORE_FOLD,
    points.TELL,
    points.CREATE_RUN,
    points.END_RUN,
    points.CREATE_MODEL,
    points.UPLOAD_MODEL,
    points.CLOSE,
)
LEADS_ON = {3, 4, 5, 6, 7}
QUEUED = st.fixed_dictionaries(
    {
        "C": st.floats(0.01, 10.0),
        "penalty": st.sampled_from(["l1", "l2"]),
        "class_weight": st.sampled_from(["none", "balanced"]),
    }
)


class AnyOrder(RuleBasedStateMachine):
    """One study, and everybody who can reach it.

    Args:
        make_directory: Makes a working directory with both databases.

    Attributes:
        directory: Where the study is by now.
        n_wanted: Trials of the study in all.
        deleted: Id of each run that a person deleted to its key where that run was the finished one
            of its trial, else to nothing: another is written then.
    """

    def __init__(self, make_directory: Callable[[str], Path]) -> None:
        super().__init__()
        self.directory = make_directory("any")
        (self.directory / "t.csv").write_text("x0,x1,y\n" + TABLE, encoding="utf-8")
        (self.directory / "study.toml").write_text(STUDY_FILE, encoding="utf-8")
        self.n_wanted = 2
        self.deleted: dict[str, str] = {}
        self.n_moved = 0

    def _flags(self) -> tuple[str, ...]:
        flags = ("--study", "study.toml", "--tracking-wait", "0", "--no-plots", "--workers", "1")
        return ("run", *flags, "--trials", str(self.n_wanted))

    def _run(self) -> Ended:
        """Run the command; it is done, or one line says what to do."""
        ended = call_main(self.directory, *self._flags())
        check_words(ended.returncode, ended.stderr)
        return ended

    @property
    def study(self) -> optuna.Study | None:
        with suppress(KeyError):
            return optuna.load_study(study_name="any", storage=stores_of(self.directory)["storage"])
        return None

    @property
    def client(self) -> MlflowClient:
        close_stores()
        return MlflowClient(stores_of(self.directory)["tracking_uri"])

    def _runs(self, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        ids = [one.experiment_id for one in self.client.search_experiments()]
        return list(self.client.search_runs(ids, run_view_type=view))

    # What a person does.

    @rule(n=st.integers(1, MAX_TRIALS))
    def run(self, n: int) -> None:
        self.n_wanted = max(n, self.n_wanted)
        self._run()

    @rule(point=st.sampled_from(POINTS), nth=st.integers(1, 4))
    def run_killed(self, point: str, nth: int) -> None:
        with self._copy(point, nth, signal.SIGKILL):
            pass

    @rule(point=st.sampled_from(POINTS), nth=st.integers(1, 4))
    def another_driver_at_once(self, point: str, nth: int) -> None:
        with self._copy(point, nth, signal.SIGSTOP) as copy:
            ended = self._run()
            # Before it opens the study and after it has closed it, the copy has no lock.
            assert ended.returncode in {0, 3, 7} or not copy.is_stopped

    @contextmanager
    def _copy(self, point: str, nth: int, number: signal.Signals):
        self.n_wanted = min(MAX_TRIALS, self.n_wanted + 1)
        with tempfile.TemporaryDirectory() as name:
            output = Path(name) / "stderr"
            copy = Copy(self.directory, self._flags(), point, nth, number, output)
            yield copy
            code = copy.go_on()
            if code != -signal.SIGKILL:
                assert code >= 0, code
                check_words(code, output.read_text(encoding="utf-8"))

    # What other clients do.

    @precondition(lambda self: self.study is not None)
    @rule(params=QUEUED)
    def enqueue(self, params: dict[str, object]) -> None:
        self.study.enqueue_trial(params)
        self.n_wanted += 1

    @precondition(lambda self: self.study is not None)
    @rule()
    def ask(self) -> None:
        self.study.ask()
        self.n_wanted += 1

    @precondition(lambda self: self.study is not None)
    @rule(value=st.floats(0, 1), pick=st.randoms(use_true_random=False))
    def tell(self, value: float, pick) -> None:
        running = [trial.number for trial in self.study.trials if trial.state.name == "RUNNING"]
        if running:
            self.study.tell(pick.choice(running), value)

    @precondition(lambda self: self.study is not None)
    @rule()
    def delete_study(self) -> None:
        optuna.delete_study(study_name="any", storage=stores_of(self.directory)["storage"])
        self.n_wanted = 2

    @rule(pick=st.randoms(use_true_random=False))
    def delete_child_run(self, pick) -> None:
        children = [run for run in self._runs() if "mlflow.parentRunId" in run.data.tags]
        if children:
            run = pick.choice(children)
            key = run.data.tags["hpo.key"]
            n_of_key = sum(other.data.tags["hpo.key"] == key for other in children)
            is_the_one = run.info.status != "RUNNING" and n_of_key == 1
            self.deleted[run.info.run_id] = key if is_the_one else ""
            self.client.delete_run(run.info.run_id)

    @rule(pick=st.randoms(use_true_random=False))
    def delete_parent_run(self, pick) -> None:
        parents = [run for run in self._runs() if "mlflow.parentRunId" not in run.data.tags]
        if parents:
            run = pick.choice(parents)
            self.deleted[run.info.run_id] = ""
            self.client.delete_run(run.info.run_id)

    @rule()
    def rename_experiment(self) -> None:
        client = self.client
        for experiment in client.search_experiments(filter_string="name != 'Default'"):
            self.n_moved += 1
            client.rename_experiment(experiment.experiment_id, f"renamed {self.n_moved}")

    @rule()
    def move_folder(self) -> None:
        close_stores()
        self.n_moved += 1
        self.directory = self.directory.rename(
            self.directory.with_name(f"{self.directory.name}-{self.n_moved}")
        )

    @rule()
    def mlflow_away_and_back(self) -> None:
        self.n_wanted = min(MAX_TRIALS, self.n_wanted + 1)
        nobody = f"http://127.0.0.1:{free_port()}"
        ended = call_main(self.directory, *self._flags(), "--tracking-uri", nobody)
        assert ended.returncode in LEADS_ON, ended
        check_words(ended.returncode, ended.stderr)

    # What holds, whatever the order was.

    def teardown(self) -> None:
        existing = self.study.trials if self.study else []
        self.n_wanted = max(self.n_wanted, len(existing) + 1)
        ended = self._run()
        if hint := re.search(r"mlflow runs restore --run-id (\w+)", ended.stderr):
            self.client.restore_run(hint[1])
            del self.deleted[hint[1]]
            ended = self._run()
        assert ended.returncode == 0, ended.stderr
        again = self._run()
        assert again.returncode == 0, again.stderr
        assert "nothing was changed" in again.stdout, again.stdout
        self._check_both_places()

    def _check_both_places(self) -> None:
        uid = self.study.user_attrs["hpo.identity"]["uid"]
        trials = {trial.number: trial for trial in self.study.trials}
        assert len(trials) == self.n_wanted
        runs = [run for run in self._runs() if run.data.tags.get("hpo.study") == uid]
        parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert len(parents) == 1, [run.info.run_id for run in parents]
        assert parents[0].info.status == "FINISHED"
        children = {
            int(run.data.tags["hpo.key"].rpartition("/")[2]): run
            for run in runs
            if "mlflow.parentRunId" in run.data.tags
        }
        assert len(children) == len(runs) - 1, "two runs of one trial"
        gone = {key for key in self.deleted.values() if key.startswith(f"{uid}/")}
        gone_numbers = {int(key.rpartition("/")[2]) for key in gone}
        assert {number for number in trials if trials[number].state.is_finished()} == (
            children.keys() | gone_numbers
        )
        assert gone_numbers.isdisjoint(children)
        for number, run in children.items():
            check_child(self.client, trials[number], run, parents[0])
        self._check_trash()
        self._check_model(parents[0])

    def _check_trash(self) -> None:
        """What a person deleted is there, and else only what was there twice."""
        trash = {run.info.run_id: run for run in self._runs(ViewType.DELETED_ONLY)}
        assert trash.keys() >= self.deleted.keys()
        for run_id in trash.keys() - self.deleted.keys():
            assert "hpo.duplicate_of" in trash[run_id].data.tags, run_id

    def _check_model(self, parent: Run) -> None:
        models = self.client.search_logged_models([parent.info.experiment_id])
        current = [
            model
            for model in models
            if model.source_run_id == parent.info.run_id and "hpo.superseded_by" not in model.tags
        ]
        assert len(current) == 1, current
        assert current[0].model_uri == parent.data.tags["hpo.model_uri"]
        location = current[0].artifact_location.removeprefix("file://")
        assert Path(location).is_relative_to(self.directory), location
        assert model_bytes(current[0], stores_of(self.directory)["tracking_uri"])


def check_words(code: int, stderr: str) -> None:
    """Done and nothing said, or an exit code of the table and lines that are no traceback."""
    assert code in {0, *LEADS_ON}, (code, stderr)
    assert "Traceback" not in stderr, stderr
    lines = stderr.splitlines()
    assert all(line.startswith("hpo: ") for line in lines), stderr
    assert code == 0 or re.search(r"\(.+\)$", lines[-1]), stderr


def check_child(client: MlflowClient, trial: FrozenTrial, run: Run, parent: Run) -> None:
    """What a child run says is what its trial says; of another client's, its params and state."""
    assert run.info.status == STATUS_OF[trial.state]
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.tags["optuna.state"] == trial.state.name
    if trial.user_attrs.keys().isdisjoint({"hpo.scores", "hpo.failure"}):
        assert run.data.params.items() >= {k: str(v) for k, v in trial.params.items()}.items()
        assert run.data.metrics.keys() == {"trial_number"}
        assert run.data.tags["hpo.foreign"].endswith(str(trial.value))
    else:
        check_params(trial, run)
        check_scores(client, trial, run, metric="accuracy", n_folds=2)
