"""Nested cross-validation: the unbiased score of "search and refit".

The best trial's own score is not that. The training rows are split into outer folds. On the
training rows of each the whole search is repeated, as a study of its own in the same ledger
(``iris.nested-1-of-5``), resumable like any; its choice is refitted there and scored on the outer
fold's test rows, which had no part in it (Stone 1974, JRSS B 36, 111-147; Varma and Simon 2006, BMC
Bioinformatics 7, 91). The hold-out is not touched. What the columns are was decided from all
training rows, as a person would have decided it.
"""

import hashlib
import math
import time
from dataclasses import replace

from hpo.data.dataset import Dataset
from hpo.data_section import CvSection
from hpo.definition import StudyDefinition
from hpo.estimators.final_model import fit_final_model
from hpo.estimators.task import Split
from hpo.estimators.tasks import TASKS
from hpo.ledger.listing import name_nested
from hpo.ledger.trials import without_foreign
from hpo.results.estimates import NestedScore
from hpo.results.intervals import greatest_score
from hpo.results.selection import select_best
from hpo.search.driver import Driver
from hpo.search.loop import Search
from hpo.search.plan import Plan, make_plan


def score_nested(
    plan: Plan, driver: Driver, *, n_trials: int, deadline: float = math.inf
) -> tuple[NestedScore | None, int]:
    """Repeat a search on the outer folds, if its definition asks for some, or what is missing.

    Args:
        plan: The study's own.
        driver: What its search was made with.
        n_trials: The total of each search.
        deadline: On the clock of ``time.monotonic``; what is not done then is left to the next run.

    Returns:
        The scores of the outer folds that are done, or None where there are to be none, and how
        many trials were added.

    Raises:
        HpoError: As the search itself.
    """
    study = plan.definition.study
    n_folds = study.nested
    if n_folds is None:
        return None, 0
    scores: list[float] = []
    n_new = 0
    outer_folds = CvSection(n_splits=n_folds, gap=plan.definition.cv.gap)
    splits = plan.task.split(plan.dataset, outer_folds, study.seed)
    for index, split in enumerate(splits, start=1):
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            break
        name = name_nested(index, n_folds)
        outer = _plan_outer(plan, split, name, n_trials=n_trials, seconds=seconds)
        with driver.open(outer) as ledger:
            search = Search(driver, outer, ledger)
            if search.slots.n_told < n_trials:
                driver.progress.note(f"nested search {index} of {n_folds}")
            is_complete = search.run()
            n_new += search.n_new_trials
            trials = without_foreign(ledger.trials())
        if not is_complete:
            break
        definition = outer.definition
        best = select_best(
            trials,
            definition.selection.rule,
            recipe=outer.recipe,
            n_splits=definition.cv.n_splits,
        )
        recipe, params = outer.recipe.choose(outer.space.replay(best.params))
        metrics = outer.objective.metrics
        final = fit_final_model(recipe, params, outer.dataset, definition, metrics, outer.costs)
        scores.append(final.holdout[study.metric])
    return NestedScore(tuple(scores), n_folds, greatest_score(study.metric)), n_new


def check_nested(dataset: Dataset, definition: StudyDefinition) -> None:
    """Make sure before the search that every outer fold can be searched.

    Raises:
        DataError: One cannot.
    """
    study = definition.study
    if study.nested is not None:
        task = TASKS[dataset.task]
        task.check_outer_folds(dataset, study.nested, definition.cv, study.seed)


def _plan_outer(plan: Plan, split: Split, name: str, *, n_trials: int, seconds: float) -> Plan:
    """Plan the search on one outer fold: its test rows are the hold-out."""
    train, test = split
    whole = plan.dataset
    dataset = replace(
        whole,
        X_train=whole.X_train.iloc[train],
        y_train=whole.y_train[train],
        X_test=whole.X_train.iloc[test],
        y_test=whole.y_train[test],
        groups=None if whole.groups is None else whole.groups[train],
        groups_test=None if whole.groups is None else whole.groups[test],
        order=None if whole.order is None else whole.order.take(train),
        order_test=None if whole.order is None else whole.order.take(test),
        digest=hashlib.sha256(f"{whole.digest} {name}".encode()).hexdigest()[:32],
    )
    # A choice that the whole table could not afford is not asked on a part of it either.
    definition = plan.searched_definition
    study = definition.study.model_copy(
        update={
            "name": f"{definition.name}.{name}",
            "n_trials": n_trials,
            "timeout_seconds": seconds if math.isfinite(seconds) else None,
        }
    )
    return make_plan(definition.model_copy(update={"study": study}), dataset)
