"""Gradient boosting by LightGBM and XGBoost, as estimators that are saved as a library's own text.

The libraries' own classes keep a booster that only pickle saves, and XGBoost's takes no labels.
These fit by the libraries' classes with one thread, take categories as columns of whole numbers,
and check and rebuild the text before compiled code reads it, whoever loads the model. Models of
these classes ship with this module and name them by this path, so beside the checks it imports
numpy and scikit-learn alone, and it does not move.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any, TypeAlias

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from hpo.boosted import Boosted, BoostedClassifier, BoostedRegressor, import_library
from hpo.lightgbm_text import MAX_LEAVES, rebuild_text
from hpo.lightgbm_text import OBJECTIVES as LIGHTGBM_OBJECTIVES
from hpo.xgboost_json import OBJECTIVES as XGBOOST_OBJECTIVES
from hpo.xgboost_json import rebuild_json

_Whole: TypeAlias = Annotated[int, Interval(Integral, 1, None, closed="left")]
_WholeOrZero: TypeAlias = Annotated[int, Interval(Integral, 0, None, closed="left")]
_PositiveOrZero: TypeAlias = Annotated[float, Interval(Real, 0, None, closed="left")]
_Positive: TypeAlias = Annotated[float, Interval(Real, 0, None, closed="neither")]
_Share: TypeAlias = Annotated[float, Interval(Real, 0, 1, closed="right")]


@dataclass(kw_only=True, eq=False, repr=False)
class _LightGBM(Boosted):
    """LightGBM's arguments, with its defaults."""

    num_leaves: Annotated[int, Interval(Integral, 2, MAX_LEAVES, closed="both")] = 31
    max_depth: Annotated[int, Interval(Integral, -1, None, closed="left")] = -1
    learning_rate: _Positive = 0.1
    n_estimators: _Whole = 100
    subsample_for_bin: _Whole = 200_000
    min_split_gain: _PositiveOrZero = 0.0
    min_child_weight: _PositiveOrZero = 1e-3
    min_child_samples: _WholeOrZero = 20
    subsample: _Share = 1.0
    subsample_freq: _WholeOrZero = 0
    colsample_bytree: _Share = 1.0
    reg_alpha: _PositiveOrZero = 0.0
    reg_lambda: _PositiveOrZero = 0.0
    random_state: int | None = None
    categorical_features: Sequence[int] = ()

    def _train(self, X: np.ndarray, y: np.ndarray) -> Any:
        arguments = self.get_params(deep=False)
        categorical = list(arguments.pop("categorical_features"))
        seed = arguments.pop("random_state")
        model = getattr(import_library("lightgbm"), type(self).__name__)(
            **arguments,
            random_state=seed and seed % 2**31,
            n_jobs=1,
            verbosity=-1,
            deterministic=True,
            force_row_wise=True,
        )
        return model.fit(X, y, categorical_feature=categorical).booster_

    def _ask(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self._booster.predict(X, num_threads=1))

    def _save(self) -> str:
        return str(self._booster.model_to_string())

    def _load(self, text: str, n_classes: int) -> Any:
        sound = rebuild_text(text, self.n_features_in_, n_classes)
        return import_library("lightgbm").Booster(model_str=sound)


@dataclass(kw_only=True, eq=False, repr=False)
class LGBMClassifier(BoostedClassifier, _LightGBM):
    """``lightgbm.LGBMClassifier``."""

    class_weight: Annotated[str | None, StrOptions({"balanced"}), None] = None


@dataclass(kw_only=True, eq=False, repr=False)
class LGBMRegressor(BoostedRegressor, _LightGBM):
    """``lightgbm.LGBMRegressor``."""

    objective: Annotated[str, StrOptions(set(LIGHTGBM_OBJECTIVES))] = "regression"


@dataclass(kw_only=True, eq=False, repr=False)
class _XGBoost(Boosted):
    """XGBoost's arguments, with the defaults that its documentation names."""

    n_estimators: _Whole = 100
    max_depth: _WholeOrZero = 6
    max_leaves: _WholeOrZero = 0
    max_bin: Annotated[int, Interval(Integral, 2, None, closed="left")] = 256
    grow_policy: Annotated[str, StrOptions({"depthwise", "lossguide"})] = "depthwise"
    learning_rate: _Positive = 0.3
    gamma: _PositiveOrZero = 0.0
    min_child_weight: _PositiveOrZero = 1.0
    max_delta_step: _PositiveOrZero = 0.0
    subsample: _Share = 1.0
    colsample_bytree: _Share = 1.0
    colsample_bylevel: _Share = 1.0
    colsample_bynode: _Share = 1.0
    reg_alpha: _PositiveOrZero = 0.0
    reg_lambda: _PositiveOrZero = 1.0
    max_cat_to_onehot: _Whole = 4
    max_cat_threshold: _Whole = 64
    random_state: int | None = None
    categorical_features: Sequence[int] = ()

    def _train(self, X: np.ndarray, y: np.ndarray) -> Any:
        arguments = self.get_params(deep=False)
        categorical = set(arguments.pop("categorical_features"))
        kinds = ["c" if position in categorical else "q" for position in range(X.shape[1])]
        model = getattr(import_library("xgboost"), type(self).__name__)(
            **arguments,
            n_jobs=1,
            verbosity=0,
            device="cpu",
            tree_method="hist",
            enable_categorical=True,
            feature_types=kinds,
        )
        return model.fit(X, y).get_booster()

    def _ask(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(self._booster.inplace_predict(X, validate_features=False))

    def _save(self) -> str:
        return bytes(self._booster.save_raw("json")).decode("ascii")

    def _load(self, text: str, n_classes: int) -> Any:
        sound = rebuild_json(text, self.n_features_in_, n_classes)
        booster = import_library("xgboost").Booster({"nthread": 1, "verbosity": 0, "device": "cpu"})
        booster.load_model(bytearray(sound, "ascii"))
        return booster


@dataclass(kw_only=True, eq=False, repr=False)
class XGBClassifier(BoostedClassifier, _XGBoost):
    """``xgboost.XGBClassifier``, for labels of any kind."""

    scale_pos_weight: _Positive = 1.0


@dataclass(kw_only=True, eq=False, repr=False)
class XGBRegressor(BoostedRegressor, _XGBoost):
    """``xgboost.XGBRegressor``."""

    objective: Annotated[str, StrOptions(set(XGBOOST_OBJECTIVES))] = "reg:squarederror"
