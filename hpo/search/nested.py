"""Nested cross-validation: the unbiased score of "search and refit", which the best trial's own score is not.

The training rows are split into outer folds. On the training rows of each the whole search is repeated, as a study of its own in
the same ledger (``iris.nested-1-of-5``), resumable like any; its choice is refitted there and scored on the outer fold's test rows,
which had no part in it (Stone 1974, JRSS B 36, 111-147; Varma and Simon 2006, BMC Bioinformatics 7, 91). The hold-out is not
touched. What the columns are was decided from all training rows, as a person would have decided it.
"""

import hashlib
import math
import time
from dataclasses import replace

import numpy as np

from hpo.data.dataset import Dataset
from hpo.definition import CvSection, StudyDefinition
from hpo.errors import DataError
from hpo.estimators.cross_validation import make_splits
from hpo.estimators.final_model import fit_final_model
from hpo.estimators.space import replay
from hpo.results.estimates import NestedScore
from hpo.results.intervals import greatest_score
from hpo.results.selection import select_best
from hpo.search.loop import Driver, Search
from hpo.search.plan import Problem, prepare_problem


def score_nested(
    problem: Problem, driver: Driver, *, n_trials: int, deadline: float = math.inf
) -> tuple[NestedScore | None, int]:
    """Repeat a search on the outer folds, if its definition asks for some, or what is missing of it.

    Args:
        problem: The study's own.
        driver: What its search was made with.
        n_trials: The total of each search.
        deadline: On the clock of ``time.monotonic``; what is not done then is left to the next run.

    Returns:
        The scores of the outer folds that are done, or None where there are to be none, and how many trials were added.

    Raises:
        HpoError: As the search itself.
    """
    n_folds = problem.definition.study.nested
    if n_folds is None:
        return None, 0
    scores: list[float] = []
    n_new = 0
    for index, split in enumerate(
        _split(problem.dataset, n_folds, problem.definition.study.seed), start=1
    ):
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            break
        outer = _prepare(problem, split, index, n_folds, n_trials=n_trials, seconds=seconds)
        with driver.open(outer) as ledger:
            n_before = ledger.n_told
            if n_before < n_trials:
                driver.progress.note(f"nested search {index} of {n_folds}")
            is_complete = Search(driver, outer, ledger).run()
            n_new += ledger.n_told - n_before
            trials = ledger.trials()
        if not is_complete:
            break
        definition = outer.definition
        best = select_best(trials, definition.selection.rule, n_splits=definition.cv.n_splits)
        params = outer.derive(replay(definition.search_space, best.params))
        scores.append(
            fit_final_model(params, outer.dataset, definition, outer.metrics).holdout[
                definition.study.metric
            ]
        )
    return NestedScore(
        tuple(scores), n_folds, greatest_score(problem.definition.study.metric)
    ), n_new


def check_nested(dataset: Dataset, definition: StudyDefinition) -> None:
    """Make sure before the search that every outer fold can be searched.

    Raises:
        DataError: A class has too few rows, or there are too few groups.
    """
    n_folds, n_splits = definition.study.nested, definition.cv.n_splits
    if n_folds is None:
        return
    fewest = int(np.unique(dataset.y_train, return_counts=True)[1].min())
    found = f"the smallest class has {fewest} training rows"
    if dataset.groups is not None:
        fewest = min(
            len(np.unique(dataset.groups[dataset.y_train == label])) for label in dataset.classes
        )
        found = f"one class is in {fewest} groups"
    try:
        is_possible = n_folds <= fewest and all(
            _has_classes(dataset, train, n_splits)
            and _has_classes(dataset, test, 1)
            and _can_be_split(dataset, train, definition)
            for train, test in _split(dataset, n_folds, definition.study.seed)
        )
    except DataError:
        is_possible = False
    if not is_possible:
        raise DataError(
            f"data: study.nested = {n_folds} needs outer folds that hold every class, with {n_splits} training rows and groups"
            f" of each, but {found}",
            hint="change --nested, lower cv.n_splits, or drop the class",
        )


def _has_classes(dataset: Dataset, rows: np.ndarray, n_rows: int) -> bool:
    labels, counts = np.unique(dataset.y_train[rows], return_counts=True)
    return len(labels) == len(dataset.classes) and int(counts.min()) >= n_rows


def _can_be_split(dataset: Dataset, rows: np.ndarray, definition: StudyDefinition) -> bool:
    """Whether the search on these rows has its folds, or an error where one of them would lack a class."""
    if dataset.groups is None:
        return True
    groups = dataset.groups[rows]
    taken = replace(
        dataset,
        X_train=dataset.X_train.iloc[rows, :0],
        y_train=dataset.y_train[rows],
        groups=groups,
    )
    n_splits = definition.cv.n_splits
    return len(np.unique(groups)) >= n_splits and bool(
        make_splits(taken, definition.cv, definition.study.seed)
    )


def _split(dataset: Dataset, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return make_splits(dataset, CvSection(n_splits=n_folds), seed)


def _prepare(
    problem: Problem,
    split: tuple[np.ndarray, np.ndarray],
    index: int,
    n_folds: int,
    *,
    n_trials: int,
    seconds: float,
) -> Problem:
    """One outer fold's problem: its test rows are the hold-out; definition and digest say which it is."""
    (train, test), whole, name = split, problem.dataset, f"nested-{index}-of-{n_folds}"
    dataset = replace(
        whole,
        X_train=whole.X_train.iloc[train],
        y_train=whole.y_train[train],
        X_test=whole.X_train.iloc[test],
        y_test=whole.y_train[test],
        groups=None if whole.groups is None else whole.groups[train],
        groups_test=None if whole.groups is None else whole.groups[test],
        digest=hashlib.sha256(f"{whole.digest} {name}".encode()).hexdigest()[:32],
    )
    timeout = seconds if math.isfinite(seconds) else None
    changes = {
        "name": f"{problem.definition.name}.{name}",
        "n_trials": n_trials,
        "timeout_seconds": timeout,
    }
    study = problem.definition.study.model_copy(update=changes)
    return prepare_problem(problem.definition.model_copy(update={"study": study}), dataset)
