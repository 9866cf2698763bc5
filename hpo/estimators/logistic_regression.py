"""The recipe of ``LogisticRegression``.

Params are in hpo's words (``penalty``, ``l1_ratio``, ...). scikit-learn 1.9 deprecates its own
``penalty``: there, ``l1_ratio`` 0 is L2, 1 is L1, and an infinite ``C`` is no penalty at all;
:func:`_build` translates. The loss is convex: solver, iterations and tolerance change how long a
fit takes, not where it ends, so they are derived rather than searched.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self, get_args

from pydantic import AfterValidator, model_validator

from hpo.errors import DefinitionError
from hpo.estimators.entries import between, named, whole
from hpo.estimators.logistic_regression_rules import EARLIER_RULES, RULE
from hpo.estimators.recipe import BarChart, Params, Recipe
from hpo.search_space import Entry, Range, SearchSpace, choices_of, conditions_of

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

Solver = Literal[
    "lbfgs",
    "lbfgs-b",
    "liblinear",
    "newton-cg",
    "newton-cholesky",
    "proximal-newton",
    "sag",
    "saga",
]

OWN_SOLVERS = frozenset({"lbfgs-b", "proximal-newton"})
"""Those of ``ExactLogisticRegression``."""

SOLVERS_FOR: Mapping[str, frozenset[str]] = {
    "none": frozenset(get_args(Solver)) - {"liblinear"} - OWN_SOLVERS,
    "l2": frozenset(get_args(Solver)),
    "l1": frozenset({"liblinear", "saga"}) | OWN_SOLVERS,
    "elasticnet": frozenset({"saga"}) | OWN_SOLVERS,
}
"""The solvers that can fit each penalty (scikit-learn 1.9, ``LogisticRegression``; ours)."""

MAX_VALUE = 2**31
"""Of C, max_iter and tol: scikit-learn counts iterations in 32 bits."""

_Positive = AfterValidator(between(0, MAX_VALUE))


class LogisticRegressionSpace(SearchSpace):
    """``[search_space]``: one entry a param.

    ``solver``, ``max_iter`` and ``tol`` are derived from the other params and the data unless they
    are named.
    """

    C: Annotated[Entry[float], _Positive] = Range(low=1e-4, high=1e4, log=True)
    penalty: Annotated[Entry[Literal["none", "l2", "l1", "elasticnet"]], AfterValidator(named)] = (
        "l2",
        "l1",
        "elasticnet",
    )
    # A ratio of 0 or 1 is a penalty of its own.
    l1_ratio: Annotated[Entry[float], AfterValidator(between(0, 1))] = Range(low=0.05, high=0.95)
    class_weight: Annotated[Entry[Literal["none", "balanced"]], AfterValidator(named)] = (
        "none",
        "balanced",
    )
    solver: Annotated[Entry[Solver], AfterValidator(named)] | None = None
    max_iter: Annotated[Entry[int], _Positive, AfterValidator(whole)] | None = None
    tol: Annotated[Entry[float], _Positive] | None = None

    @model_validator(mode="after")
    def _check_unconditional(self) -> Self:
        for name in ("penalty", "l1_ratio"):
            if conditions_of(getattr(self, name)):
                raise ValueError(f"{name} takes no when: the penalty decides what is asked")
        return self

    @model_validator(mode="after")
    def _check_solvers(self) -> Self:
        for solver in choices_of(self.solver):
            for penalty in choices_of(self.penalty):
                if solver not in SOLVERS_FOR[penalty]:
                    able = ", ".join(sorted(SOLVERS_FOR[penalty]))
                    raise ValueError(
                        f"solver should fit every penalty ('{penalty}' takes {able}),"
                        f" but got '{solver}'"
                    )
        return self


def _takes_whole_numbers(name: str, _entry: Range) -> bool:
    return name == "max_iter"


def _applies(name: str, params: Params) -> bool:
    if name == "l1_ratio":
        return bool(params["penalty"] == "elasticnet")
    return name != "C" or params["penalty"] != "none"


def _check(space: SearchSpace, n_classes: int) -> None:
    """Refuse liblinear for three classes or more."""
    assert isinstance(space, LogisticRegressionSpace)
    if n_classes > 2 and "liblinear" in choices_of(space.solver):
        raise DefinitionError(
            f"search_space.solver: liblinear should be used with 2 classes, but got {n_classes}",
            hint="leave solver out: it is derived from the penalty and the data",
        )


def _build(params: Params, _categorical: Sequence[int] = ()) -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - see recipe.py

    penalty, class_weight = params["penalty"], params["class_weight"]
    ratios = {"none": 0.0, "l2": 0.0, "l1": 1.0}
    kind = LogisticRegression
    if params["solver"] in OWN_SOLVERS or (params["solver"], penalty) == ("newton-cholesky", "l2"):
        from hpo.estimators import exact_logistic  # noqa: PLC0415 - see recipe.py

        kind = exact_logistic.ExactLogisticRegression
    return kind(
        C=math.inf if penalty == "none" else params["C"],
        l1_ratio=ratios.get(penalty, params.get("l1_ratio")),
        class_weight=None if class_weight == "none" else class_weight,
        **{name: params[name] for name in ("solver", "max_iter", "tol", "random_state")},
    )


def _simplicity(params: Params) -> tuple[float, float, bool]:
    """Compare by, in this order: regularisation, share of L1, class weights.

    Simpler is a smaller ``C`` (no penalty is an infinite one), then a larger share of L1, which
    leaves fewer coefficients that are not zero, then no class weights.
    """
    penalty = params.get("penalty", "l2")
    l1_share = {"l1": 1.0, "elasticnet": params.get("l1_ratio", 0.0)}.get(penalty, 0.0)
    C = math.inf if penalty == "none" else params.get("C", 1.0)
    return -C, l1_share, params.get("class_weight") != "balanced"


def list_coefficients(pipeline: "Pipeline") -> "pd.DataFrame":
    """The coefficients by feature and class, the largest first.

    Numbers are scaled, so a coefficient is for one standard deviation; its exponential is the
    factor on the odds: with two classes those of the second, with more those of the class against
    the geometric mean of all.
    """
    import numpy as np  # noqa: PLC0415 - see recipe.py
    import pandas as pd  # noqa: PLC0415 - see recipe.py

    from hpo.estimators.preprocessing import feature_names  # noqa: PLC0415 - see recipe.py

    preprocessing, classifier = pipeline[-2], pipeline[-1]
    features = feature_names(preprocessing)
    classes = classifier.classes_[-len(classifier.coef_) :]
    table = pd.DataFrame(classifier.coef_, index=classes, columns=features).rename_axis("class")
    table = table.reset_index().melt("class", var_name="feature", value_name="coefficient")
    table = table[["feature", "class", "coefficient"]]
    with np.errstate(over="ignore"):
        table["odds_ratio"] = np.exp(table["coefficient"])
    return table.sort_values(
        "coefficient", key=abs, ascending=False, kind="stable", ignore_index=True
    )


_LIMIT = (
    "Coefficients say what goes with the target in these rows, not what causes it;"
    " interactions of columns are not seen."
)

LOGISTIC_REGRESSION = Recipe(
    name="LogisticRegression",
    title="logistic regression",
    task="classification",
    space=LogisticRegressionSpace,
    asking_order=("penalty", "C", "l1_ratio", "class_weight", "solver", "max_iter", "tol"),
    defaults={
        "C": 1.0,
        "penalty": "l2",
        "class_weight": "none",
        "solver": "lbfgs",
        "max_iter": 100,
        "tol": 1e-4,
    },
    takes_whole_numbers=_takes_whole_numbers,
    applies=_applies,
    derive=RULE.derive,
    is_affordable=RULE.is_affordable,
    check=_check,
    build=_build,
    simplicity=_simplicity,
    charts=(
        BarChart(
            name="coefficients",
            title="Coefficients",
            tabulate=list_coefficients,
            labels=("feature", "class"),
            value="coefficient",
            xlabel="log odds of the class; of a number, by standard deviation",
        ),
    ),
    limits=(_LIMIT,),
    noted_params=("solver",),
    rule=2,
    earlier=EARLIER_RULES,
)

RECIPES = (LOGISTIC_REGRESSION,)
