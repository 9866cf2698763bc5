"""The definition of a study: a field for every key of a study file.

Every key has a default and a rule for what is allowed; the defaults are the Iris study. Two things
are not known here: scikit-learn, so metric names are checked where they are used, and estimators,
so the params of ``[search_space]`` belong to the class that an estimator's recipe brings.
"""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ByteSize, Field, SerializeAsAny, model_validator

from hpo.data_section import CvSection, DataSection
from hpo.decision_section import DecisionSection, Metric
from hpo.errors import DefinitionError
from hpo.escaping import quote
from hpo.estimator_section import EstimatorSection, FixedSection, Names
from hpo.identity import identity_of
from hpo.search_space import SearchSpace, Section

STUDY_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
STUDY_NAME_RULE = "1 to 128 letters, digits, '.', '_' or '-', the first a letter or digit"

Rule = Literal["best", "one_standard_error"]


def _check_study_name(name: str) -> str:
    if not STUDY_NAME.fullmatch(name):
        raise ValueError(f"a study name should be {STUDY_NAME_RULE}, but got '{name}'")
    return name


class StudySection(Section):
    """``[study]``: the study's name, what is judged, and when to stop.

    ``nested`` is a number of outer folds: the search is repeated on each, in a study of its own,
    and changes no trial of this one.
    """

    name: Annotated[str, AfterValidator(_check_study_name)] | None = None
    metric: Metric = "accuracy"
    metrics: Names = ()
    n_trials: int = Field(50, ge=1)
    timeout_seconds: float | None = Field(None, gt=0)
    patience: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0, lt=2**32)
    concurrency: int = Field(1, ge=1, le=1024)
    max_failed: float = Field(0.5, ge=0, le=1)
    nested: int | None = Field(None, ge=2, le=100)


class PreprocessingSection(Section):
    """``[preprocessing]``: how categories and free text become columns.

    Categories with fewer than ``min_frequency`` training rows are pooled, and so are the rarest
    ones above ``max_categories``. Of each column of free text the ``max_words`` commonest words of
    the training rows become columns. A table that still becomes wider than ``max_features`` is
    refused.
    """

    min_frequency: int = Field(10, ge=1)
    max_categories: int = Field(200, ge=2)
    max_words: int = Field(1000, ge=1)
    max_features: int = Field(5000, ge=1)


class SamplerSection(Section):
    """``[sampler]``: Optuna's TPE, or random search."""

    kind: Literal["tpe", "random"] = "tpe"
    n_startup_trials: int = Field(10, ge=0)
    n_ei_candidates: int = Field(24, ge=1)


class PrunerSection(Section):
    """``[pruner]``: whether a trial that falls behind is stopped after a fold.

    ``median``: Optuna's ``MedianPruner``, which alone has ``n_startup_trials`` and
    ``n_warmup_steps``. ``race``: where it is more than a standard deviation of the best trial's
    folds behind that one on the same folds, from the second on.
    """

    kind: Literal["none", "median", "race"] = "none"
    n_startup_trials: int = Field(5, ge=0)
    n_warmup_steps: int = Field(0, ge=0)


class LimitsSection(Section):
    """``[limits]``: bounds of one fit and its scoring; beyond one its trial fails.

    ``fit_seconds`` is time by the clock; ``fit_memory`` is what the process that fits holds for
    itself, the interpreter and its libraries included: bytes, or a text such as "2 GB". With a
    limit every fit runs in a worker process, which is ended with it. Both may change between runs
    of a study.
    """

    fit_seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    fit_memory: ByteSize | None = Field(None, gt=0)

    @property
    def are_set(self) -> bool:
        """Whether there is one."""
        return self.fit_seconds is not None or self.fit_memory is not None


class SelectionSection(Section):
    """``[selection]``: the highest trial, or the simplest within one standard error of it.

    ``refit`` names the rows that the shipped model is fitted on: the training rows, or ``all``,
    after the hold-out was scored without it. Both may change between runs of a study: the trials
    are the same, and another model ships.
    """

    rule: Rule = "best"
    refit: Literal["train", "all"] = "train"


class RegistrySection(Section):
    """``[registry]``: when a version becomes the champion of the registered model.

    ``not_worse`` than the champion on the same held-out rows, ``better``, or ``never``, where a
    person decides.
    """

    rule: Literal["not_worse", "better", "never"] = "not_worse"


class StudyDefinition(Section):
    """The whole of a study file; frozen, complete and validated.

    Two definitions that share :meth:`identity` search the same way.
    """

    study: StudySection = StudySection()
    data: DataSection = DataSection()
    preprocessing: PreprocessingSection = PreprocessingSection()
    cv: CvSection = CvSection()
    estimator: SerializeAsAny[EstimatorSection] = EstimatorSection()
    search_space: SerializeAsAny[SearchSpace] = SearchSpace()
    fixed: FixedSection = FixedSection()
    sampler: SamplerSection = SamplerSection()
    pruner: PrunerSection = PrunerSection()
    limits: LimitsSection = LimitsSection()
    selection: SelectionSection = SelectionSection()
    decision: DecisionSection = DecisionSection()
    registry: RegistrySection = RegistrySection()

    @model_validator(mode="after")
    def _check_derived_name(self) -> Self:
        # A directory has no name to speak of, an address none without its password; that it is one
        # is said where the data is loaded.
        source = self.data.source
        is_named = STUDY_NAME.fullmatch(self.name) is not None
        if not is_named and not os.path.isdir(source) and "://" not in source:
            raise ValueError(
                f"a study name should be {STUDY_NAME_RULE}, but the data give '{self.name}':"
                " set study.name or --name"
            )
        return self

    @model_validator(mode="after")
    def _check_folds(self) -> Self:
        is_forward = self.data.time is not None
        if is_forward and self.cv.n_repeats > 1:
            raise ValueError(
                "cv.n_repeats should be 1 with data.time:"
                " folds that go forward are not shuffled, so there is nothing to repeat"
            )
        if self.cv.gap and not is_forward:
            raise ValueError("cv.gap is of folds that go forward: name the column in data.time")
        if self.pruner.kind == "race" and self.cv.n_splits * self.cv.n_repeats < 3:
            raise ValueError(
                "pruner.kind = 'race' stops no trial of two folds, since it looks at the first two:"
                " raise cv.n_splits, or leave it out"
            )
        return self

    @model_validator(mode="after")
    def _check_named_once(self) -> Self:
        for name, _ in self.fixed:
            if name in self.search_space.model_fields_set:
                raise ValueError(
                    f"{quote(name)} is in [search_space] and in [fixed]: name it in one of them"
                )
        return self

    @property
    def name(self) -> str:
        """The study's name: the given one, else the data's."""
        return self.study.name or Path(self.data.source).name.split(".")[0]

    def for_frame(self) -> Self:
        """The same for a DataFrame in the place of ``data.source``.

        Raises:
            DefinitionError: It has no name, which otherwise the source gives.
        """
        if self.study.name is None:
            hint = "load_definition(overrides={'study.name': NAME, ...})"
            raise DefinitionError("study.name: a study of a DataFrame needs a name", hint=hint)
        data = self.data.model_copy(update={"source": "DataFrame"})
        return self.model_copy(update={"data": data})

    def identity(self) -> dict[str, Any]:
        """Flatten everything that may not change while a study goes on.

        Returns:
            Dotted key to plain value, for example ``{"search_space.C.low": 1e-4}``.
        """
        content = self.model_dump(mode="json")
        # What is fixed is part of the space once the estimator is known.
        for name in content["fixed"]:
            content["search_space"].pop(name, None)
        return identity_of(content)


if __name__ == "__main__":
    # ``python -m hpo.definition --schema``, the way before ``python -m hpo schema``.
    flags = [flag for flag in sys.argv[1:] if flag != "--schema"]
    os.execv(sys.executable, [sys.executable, "-m", "hpo", "schema", *flags])  # noqa: S606 - itself
