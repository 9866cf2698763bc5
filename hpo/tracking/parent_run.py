"""Writes a study's experiment and parent run: what was searched, and what is known of it now."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import filterfalse
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Run

from hpo.markdown import merge_note
from hpo.results.links import runs_path
from hpo.results.model_card import MODEL_URI_MARK
from hpo.tracking import copies, keys, reader
from hpo.tracking.entities import (
    TAG_LENGTH,
    make_dataset_input,
    make_metrics,
    make_params,
    make_tags,
)
from hpo.tracking.interface import ignore
from hpo.tracking.numbers import format_numbers, parse_numbers
from hpo.tracking.predecessors import mark_predecessors, unmark
from hpo.tracking.run_creation import create_run, find_or_create_experiment, give_way, keep_one
from hpo.tracking.run_records import FinalRecord, StudyRecord
from hpo.tracking.saved_view import make_view_tag, reads_views, trials_path


class ParentRun:
    """The parent run of one study.

    Args:
        tracking_uri: MLflow's.
        study: What it says.

    Attributes:
        client: Of the store; known once the run was looked for.
        experiment_id: Empty while unknown.
        run_id: Empty while unknown, and where child runs stand alone.
        own_ids: Every run that this study has had for a parent; empty where it has none of its own.
        trials_path: The path of the page that shows all trials; empty while unknown.
        written: The trials whose runs were finished when this one was last closed.
        is_open: Whether it is being written to: described, and not terminated since.
    """

    client: MlflowClient

    def __init__(self, tracking_uri: str, study: StudyRecord) -> None:
        self._tracking_uri = tracking_uri
        self._study = study
        self.experiment_id = ""
        self.run_id = ""
        self.own_ids: frozenset[str] = frozenset()
        self.trials_path = ""
        self.written: frozenset[int] = frozenset()
        self.is_open = False

    def open(
        self, client: MlflowClient, start_time_ms: int, notify: Callable[[str], None] = ignore
    ) -> None:
        """Find or create experiment and run; one that was left unfinished is described again.

        Args:
            client: Of the store.
            start_time_ms: When the study began, milliseconds since 1970, UTC.
            notify: Takes a line for a person.
        """
        study = self._study
        self.client = client
        self.experiment_id = find_or_create_experiment(client, study)
        if study.outer_run_id is not None:
            self.run_id = study.outer_run_id
            return
        run = self._find_or_create_run(start_time_ms, notify)
        if run is None:
            return
        self.run_id = run.info.run_id
        unmark(client, run)
        self.written = parse_numbers(run.data.tags.get(keys.WRITTEN_TRIALS, ""))
        has_view = bool(study.view) and reads_views(self._tracking_uri)
        self.trials_path = trials_path(self.experiment_id, study.uid, has_view=has_view)
        if reader.is_finished(run):
            return
        self._describe()
        if has_view:
            name, content = make_view_tag(study.name, study.uid, study.view, start_time_ms)
            client.set_experiment_tag(self.experiment_id, name, content)
        if study.description and keys.DESCRIPTION not in run.data.tags:
            description = merge_note(self._link(study.description))
            client.set_tag(self.run_id, keys.DESCRIPTION, description)

    def reopen(self) -> None:
        """Make a terminated run take content again; before anything new is written to it."""
        if self.own_ids and not self.is_open:
            copies.check_writers(self._study, [self.client.get_run(self.run_id)])
            self.client.update_run(self.run_id, status="RUNNING")
            self._describe()

    def log_metric(self, name: str, points: Iterable[tuple[int, float, int]]) -> None:
        """Log a metric: step, value and time (milliseconds since 1970, UTC) of each point."""
        metrics = [Metric(name, value, time_ms, step) for step, value, time_ms in points]
        self.client.log_batch(self.run_id, metrics=metrics)

    def link_model(self, model_id: str) -> None:
        """Make a logged model an output of this run."""
        outputs = self.client.get_run(self.run_id).outputs
        linked = outputs.model_outputs if outputs else ()
        if all(output.model_id != model_id for output in linked):  # MLflow refuses a second link
            self.client.log_outputs(self.run_id, [LoggedModelOutput(model_id, step=0)])

    def log_files(
        self, model_id: str, of_model: Mapping[str, bytes], of_study: Mapping[str, bytes]
    ) -> None:
        """Log files on this run; those of the model are kept with the model too."""
        with TemporaryDirectory(prefix="hpo-") as directory:
            _write_files(Path(directory), of_model)
            self.client.log_model_artifacts(model_id, directory)
            _write_files(Path(directory), of_study)
            self.client.log_artifacts(self.run_id, directory)

    def conclude(self, final: FinalRecord, model_id: str, best_run_id: str | None) -> None:
        """Say what is known of the study now, unless the run says so already.

        Args:
            final: What is known.
            model_id: The logged model's.
            best_run_id: The best trial's child run, to be linked to.
        """
        conclusion = final.conclusion
        uri = f"models:/{model_id}"
        run = self.client.get_run(self.run_id)
        metrics = {**final.model.metrics, **conclusion.metrics}
        best = str(final.model.trial_number)
        tags = {keys.BEST_TRIAL: best, keys.MODEL_URI: uri, **conclusion.tags}
        linked = self._link(conclusion.description, best_run_id)
        description = merge_note(linked, run.data.tags.get(keys.DESCRIPTION, ""))
        # What a person made too long to be added to stays as it is.
        if conclusion.description and len(description) <= TAG_LENGTH:
            tags[keys.DESCRIPTION] = description
        if metrics.items() <= run.data.metrics.items() and tags.items() <= run.data.tags.items():
            return
        self.reopen()
        if conclusion.card:
            card = conclusion.card.replace(MODEL_URI_MARK, uri).encode()
            self.log_files(model_id, {keys.MODEL_CARD_FILE: card}, {})
        now = time.time_ns() // 1_000_000
        known = run.data.metrics
        new = {name: value for name, value in metrics.items() if known.get(name) != value}
        points = make_metrics(new, now, final.n_finished)
        for name, values in conclusion.steps.items():
            points += self._find_new_points(name, values, now)
        self.client.log_batch(self.run_id, metrics=points, tags=make_tags(tags))

    def close(self, status: str, end_time_ms: int, written: Collection[int] = ()) -> None:
        """Terminate the run.

        Args:
            status: FINISHED, KILLED or FAILED.
            end_time_ms: Milliseconds since 1970, UTC.
            written: The trials whose runs are finished, or were.
        """
        copies.check_writers(self._study, [self.client.get_run(self.run_id)])
        if written:
            numbers = format_numbers(written, TAG_LENGTH)
            self.client.set_tag(self.run_id, keys.WRITTEN_TRIALS, numbers)
        self.client.set_terminated(self.run_id, status=status, end_time=end_time_ms)
        self.is_open = False
        if self.own_ids:
            # Another process may have created its own at that moment: the last to end sees both.
            runs = copies.search_parents(self.client, self._study, self.experiment_id)
            keep_one(self.client, [*filter(reader.is_finished, runs)])

    def _find_or_create_run(self, start_time_ms: int, notify: Callable[[str], None]) -> Run | None:
        """Find or create the run; None where the study has none and is to get none."""
        study = self._study
        runs = copies.search_parents(self.client, study, self.experiment_id)
        copies.check_writers(study, runs)
        runs = copies.keep_one_experiment(self._tracking_uri, study, runs, notify)
        run = keep_one(self.client, runs)
        if run is None or reader.is_deleted(run):
            if not study.makes_parent:
                return None
            if run is not None:
                raise reader.deleted_parent(study.name, run.info.run_id)
            copies.release_original(self.client, study)
            mark_predecessors(self.client, self.experiment_id, study)
            run = self._create_run(start_time_ms)
        self.own_ids = frozenset({run.info.run_id, *(known.info.run_id for known in runs)})
        return run

    def _create_run(self, start_time_ms: int) -> Run:
        """Create the run, or take that of another process which created it at the same moment."""
        study = self._study
        tags = {keys.STUDY_UID: study.uid}
        run = create_run(
            self.client, self.experiment_id, study.uid, study.name, start_time_ms, tags
        )
        # Whoever has described its run has looked already, and will not give way.
        runs = copies.search_parents(self.client, study, self.experiment_id)
        kept = min(
            filterfalse(reader.is_deleted, runs),
            key=lambda run: (not run.data.params, reader.order_of_keeping(run)),
        )
        if kept.info.run_id != run.info.run_id:
            give_way(self.client, run.info.run_id, kept.info.run_id)
        return kept

    def _describe(self) -> None:
        study = self._study
        self.is_open = True
        # MLflow refuses another text for a param that is there, such as an earlier hpo wrote it.
        known = self.client.get_run(self.run_id).data.params
        params = {name: text for name, text in study.params.items() if name not in known}
        self.client.log_batch(self.run_id, params=make_params(params), tags=make_tags(study.tags))
        if study.dataset is not None:
            self.client.log_inputs(self.run_id, datasets=[make_dataset_input(study.dataset)])
        for path, text in study.texts.items():
            self.client.log_text(self.run_id, text, path)

    def _link(self, description: str, best_run_id: str | None = None) -> str:
        """Put links above a description: the page folds what is long."""
        links = [f"[All trials compared]({self.trials_path})"]
        if best_run_id is not None:
            links.append(f"[best trial]({runs_path(self.experiment_id, best_run_id)})")
        if self._study.dashboard is not None:
            links.append(f"[the study in optuna-dashboard]({self._study.dashboard})")
        return f"{' · '.join(links)}\n\n{description}"

    def _find_new_points(self, name: str, values: Mapping[int, float], now: int) -> list[Metric]:
        """Points of a metric, by step, that the run does not have yet."""
        history = self.client.get_metric_history(self.run_id, name)
        known = {(metric.step, metric.value) for metric in history}
        return [
            Metric(name, value, now, step)
            for step, value in values.items()
            if (step, value) not in known
        ]


def _write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
