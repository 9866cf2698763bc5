"""The common part of the estimators of LightGBM and XGBoost; see :mod:`hpo.boosters`.

Their models ship with this module, so it imports numpy and scikit-learn alone, and it does not
move.
"""

from importlib import import_module
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

_FITTED = {"n_features_in_", "classes_", "booster"}


class Boosted(BaseEstimator):
    """A booster of one library; which values an argument takes is in its annotation."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    _booster: Any
    n_features_in_: int

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Where scikit-learn looks for them.
        cls._parameter_constraints = {
            name: list(kind.__metadata__)
            for each in reversed(cls.__mro__)
            for name, kind in vars(each).get("__annotations__", {}).items()
            if hasattr(kind, "__metadata__")
        }

    def _train(self, X: np.ndarray, y: np.ndarray) -> Any:
        """Fit a booster on classes 0 and up, or on numbers."""
        raise NotImplementedError

    def _ask(self, X: np.ndarray) -> np.ndarray:
        """Give the booster's prediction."""
        raise NotImplementedError

    def _save(self) -> str:
        """Give the booster's text."""
        raise NotImplementedError

    def _load(self, text: str, n_classes: int) -> Any:
        """Make a booster from its text, checked."""
        raise NotImplementedError

    @property
    def booster_(self) -> Any:
        """The library's booster."""
        check_is_fitted(self)
        return self._booster

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_booster")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.get_params(deep=False)}
        if self.__sklearn_is_fitted__():
            text = np.frombuffer(self._save().encode("ascii"), dtype=np.uint8)
            state |= {"n_features_in_": self.n_features_in_, "booster": text}
        if hasattr(self, "classes_"):
            state["classes_"] = self.classes_
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        content = dict(state)
        strange = content.keys() - {*self._get_param_names(), *_FITTED}
        if strange:
            raise ValueError(f"a booster does not have {sorted(strange)}")
        text = content.pop("booster", None)
        self.__dict__.update(content)
        if text is None:
            return
        n_classes = 0
        if isinstance(self, ClassifierMixin):
            n_classes = len(self.classes_)
            if self.classes_.ndim != 1 or n_classes < 2:
                raise ValueError("a booster should know its classes")
        if type(self.n_features_in_) is not int or self.n_features_in_ < 1:
            raise ValueError("a booster should know its columns")
        read = np.asarray(text, dtype=np.uint8).tobytes().decode("ascii")
        self._booster = self._load(read, n_classes)

    def _predict(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        return self._ask(rows)


class BoostedClassifier(ClassifierMixin, Boosted):
    """Labels of any kind; a class is its position among them in sorted order."""

    classes_: np.ndarray

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on rows and their labels."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"there should be two classes or more, but got {len(self.classes_)}")
        self._booster = self._train(X, codes)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes, array of shape (n_samples, n_classes)."""
        found = self._predict(X)
        return found if found.ndim == 2 else np.column_stack([1 - found, found])

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class, array of shape (n_samples,)."""
        likeliest: np.ndarray = self.classes_[np.argmax(self.predict_proba(X), axis=1)]
        return likeliest


class BoostedRegressor(RegressorMixin, Boosted):
    """Numbers."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit on rows and their numbers."""
        X, y = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True
        )
        self._booster = self._train(X, y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The number, array of shape (n_samples,)."""
        return self._predict(X).astype(np.float64)


def import_library(library: str) -> Any:
    """Import a library; where it cannot be loaded, the error is one of importing."""
    try:
        return import_module(library)
    except OSError as error:  # LightGBM takes OpenMP from the system.
        raise ImportError(f"{library} cannot be loaded ({error})", name=library) from error
