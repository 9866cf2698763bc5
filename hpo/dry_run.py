"""What a run would do, without doing it: data, columns, space, splits, and an estimate of the time. Writes nothing at all.

Everything that a run checks before its first trial is checked here too. The estimate rests on trial 0, whose folds are fitted
and timed in this process.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from hpo.cross_validation import FoldResult
from hpo.definition import Range, StudyDefinition
from hpo.executor import LocalExecutor
from hpo.mirror import Mirror
from hpo.nested import check_nested
from hpo.problem import Problem, load_data, prepare_problem
from hpo.report import format_params
from hpo.search_space import baseline, suggest
from hpo.settings import ServiceSettings
from hpo.storage import quiet_optuna

DRIVER_SECONDS = 0.015
"""What asking, telling and storing takes a trial, on SQLite."""

MAX_SHOWN = 8


@dataclass(frozen=True)
class StudyPlan:
    """A study that was not run.

    Attributes:
        problem: What would be searched.
        params: Trial 0's.
        fold_seconds: The median fit of its folds, with scoring.
        failure: Why a fit of it failed, or None.
        n_processes: So many score folds, as far as that is known before.
    """

    problem: Problem
    params: dict[str, Any]
    fold_seconds: float
    failure: str | None
    n_processes: int

    @property
    def study(self) -> str:
        """The study's name."""
        return self.problem.definition.name

    @property
    def search_seconds(self) -> float:
        """An estimate: as if every trial took as long as trial 0."""
        study, n_folds = self.problem.definition.study, len(self.problem.folds)
        n_searches = 1 + (study.nested or 0)
        fits = self.fold_seconds * -(-n_folds // min(self.n_processes, n_folds))
        return n_searches * study.n_trials * (fits + DRIVER_SECONDS)

    def to_json(self) -> dict[str, Any]:
        """The object that ``--json`` prints."""
        definition, dataset = self.problem.definition, self.problem.dataset
        return {
            "study": self.study,
            "n_trials": definition.study.n_trials,
            "metric": definition.study.metric,
            "metrics": list(self.problem.metrics),
            "data": {
                "source": definition.data.source,
                "digest": dataset.digest,
                "target": dataset.target,
                "n_train": len(dataset.y_train),
                "n_holdout": len(dataset.y_test),
                "classes": {str(label): count for label, count in sorted(Counter(dataset.y_train.tolist()).items())},
            },
            "columns": dataset.columns.kinds(),
            "n_features": self.problem.shape.n_features,
            "search_space": definition.search_space.model_dump(mode="json"),
            "splits": {**definition.cv.model_dump(), "n_folds": len(self.problem.folds), "grouped_by": definition.data.group},
            "notes": list(self.problem.notes),
            "trial_0": {"params": self.params, "failure": self.failure},
            "estimate": {"fold_seconds": round(self.fold_seconds, 6), "search_seconds": round(self.search_seconds, 3)},
        }

    def rows(self) -> list[tuple[str, str]]:
        """The same as label and fact, as a report has them."""
        content, n_folds = self.to_json(), len(self.problem.folds)
        data, splits = content["data"], content["splits"]
        shown = _listed([f"{label} ({count})" for label, count in data["classes"].items()])
        rows = f"{data['n_train']} training rows, {data['n_holdout']} held out"
        grouped = f", '{splits['grouped_by']}' never split" if splits["grouped_by"] else ""
        repeats = f", {splits['n_repeats']} times" if splits["n_repeats"] > 1 else ""
        space = [f"{name}: {_describe(entry)}" for name, entry in self.problem.definition.search_space if entry is not None]
        kinds = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in content["columns"].items()]
        processes = "1 process" if self.n_processes == 1 else f"{self.n_processes} processes"
        trial_0 = self.failure or f"{self.fold_seconds * 1000:.3g} ms a fold"
        return [
            ("study", f"{self.study}: {content['n_trials']} trials, judged by {content['metric']}"),
            ("data", f"{data['source']}: {rows}; '{data['target']}' has {len(data['classes'])} classes: {shown}"),
            *_under("columns", [*kinds, f"{content['n_features']} features after preprocessing"]),
            *(("note", note) for note in content["notes"]),
            *_under("space", space),
            ("splits", f"{splits['n_splits']} stratified folds{repeats}{grouped}"),
            ("trial 0", f"{format_params(self.params)}: {trial_0}"),
            ("time", f"about {self.search_seconds:.2g} s for the search: an estimate, as if all trials took as long as trial 0"),
            ("", f"{n_folds} folds a trial on {processes}; other penalties may take several times as long"),
            ("next", "nothing was run or written: the same command without --dry-run"),
        ]


def plan_study(definition: StudyDefinition, settings: ServiceSettings) -> StudyPlan:
    """Load, check and prepare as a run does, and time trial 0.

    Raises:
        InputError: As the run would.
    """
    with threadpool_limits(1), quiet_optuna():
        dataset = load_data(definition)
        check_nested(dataset, definition)
        problem = prepare_problem(definition, dataset)
        params = first_params(problem)
        seconds, results = _time_folds(problem, params)
    failure = next((result.failure for result in results if result.failure), None)
    n_processes = settings.workers if isinstance(settings.workers, int) else 1
    return StudyPlan(problem, params, statistics.median(seconds), failure, n_processes)


def first_params(problem: Problem) -> dict[str, Any]:
    """Complete params of trial 0, as the ledger would ask for them."""
    definition, space = problem.definition, problem.definition.search_space
    mirror = Mirror(definition.sampler, definition.pruner, seed=definition.study.seed, concurrency=definition.study.concurrency)
    return problem.derive(suggest(space, mirror.ask(0, fixed=baseline(space))))


def _time_folds(problem: Problem, params: dict[str, Any]) -> tuple[list[float], list[FoldResult]]:
    executor = LocalExecutor()
    executor.hold(problem.folds, problem.metrics)
    scoring, seconds, results = executor.start(params), [], []
    for index in range(len(problem.folds)):
        started = time.perf_counter()
        result = scoring.result(index, 0.0)
        seconds.append(time.perf_counter() - started)
        results += [] if result is None else [result]
    return seconds, results


def _under(label: str, facts: list[str]) -> list[tuple[str, str]]:
    return [(label if index == 0 else "", fact) for index, fact in enumerate(facts)]


def _describe(entry: Any) -> str:
    if isinstance(entry, Range):
        return f"{entry.low:g} to {entry.high:g}{', on a logarithmic scale' if entry.log else ''}"
    return ", ".join(map(str, entry)) if isinstance(entry, tuple) else f"{entry}, fixed"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MAX_SHOWN]) + (f", and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else "")
