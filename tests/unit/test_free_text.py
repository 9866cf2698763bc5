"""Free text: words as columns, and vectorizers from a file that read a text as ours do or not."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from hpo.conversion import ColumnConverter
from hpo.data.columns import Columns
from hpo.definition import PreprocessingSection
from hpo.errors import DataError, IdentityError, ModelError
from hpo.estimators.cross_validation import check_size
from hpo.estimators.free_text import build_vectorizer, make_plain
from hpo.estimators.own.saving import read_own
from hpo.estimators.preprocessing import build_preprocessing, feature_names
from hpo.estimators.skops_file import read_skops
from hpo.ledger.ledger import open_ledger
from hpo.search.plan import Plan, load_data, make_plan
from hpo.study_file import load_definition

TEXTS = pd.DataFrame({
    "note": ["A dull plot, a dull end", "lovely music", "", "__loader__ and __class__ are words"],
    "more": ["of the plot", "", "of the end", "the end"],
})  # fmt: skip
COLUMNS = Columns(free_text=("note", "more"))


def fit(max_words: int = 1000) -> ColumnTransformer:
    section = PreprocessingSection(max_words=max_words)
    return build_preprocessing(COLUMNS, section).fit(TEXTS)


def test_each_column_has_words_of_its_own() -> None:
    fitted = fit()
    names = feature_names(fitted).tolist()
    assert [name for name in names if name.startswith("more_")] == [
        *("more_end", "more_of", "more_plot", "more_the"),
    ]
    assert {"note_plot", "note_dull", "note___loader__"} <= set(names)
    assert "note_a" not in names
    assert fitted.transform(TEXTS).shape == (4, len(names))


def test_the_commonest_words_are_kept_up_to_the_limit() -> None:
    assert feature_names(fit(1)).tolist() == ["note_dull", "more_the"]


def test_row_has_length_one_or_none_of_the_words() -> None:
    rows = fit().transform(
        pd.DataFrame({"note": ["dull plot", "", "never seen"], "more": ["", "", "the"]})
    )
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 0, 1])


def test_words_of_a_saved_model_take_no_file_each() -> None:

    fitted = fit(2)
    before = members(skops.io.dumps(fitted))
    make_plain(fitted)
    after = members(skops.io.dumps(fitted))
    assert (len(before), len(after)) == (7, 3)  # a table of weights for each column, the schema
    read_skops(skops.io.dumps(fitted))


def members(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def test_words_that_skops_uses_itself_are_words() -> None:
    fitted = fit()
    make_plain(fitted)
    loaded = read_skops(skops.io.dumps(fitted))
    np.testing.assert_array_equal(loaded.transform(TEXTS), fitted.transform(TEXTS))


def save(change: Callable[[TfidfVectorizer], object]) -> bytes:
    vectorizer = build_vectorizer(1000).fit(TEXTS["note"])
    shifted(0)(vectorizer)
    change(vectorizer)
    return skops.io.dumps(vectorizer)


def setting(**params: object) -> Callable[[TfidfVectorizer], object]:
    return lambda vectorizer: vars(vectorizer).update(params)


def shifted(by: int) -> Callable[[TfidfVectorizer], object]:
    def shift(vectorizer: TfidfVectorizer) -> None:
        words = vectorizer.vocabulary_
        vectorizer.vocabulary_ = {word: int(at) + by for word, at in words.items()}

    return shift


POSITIONS = "the words of .* should have the positions 0 to 9"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (setting(input="filename"), "input of .* should be 'content', but got 'filename'"),
        (setting(input="file"), "input of .* should be 'content'"),
        (setting(token_pattern=r"(\w+\s?)+$" + "\n"), r"token_pattern of .* but got '\(\\\\w.*\\n"),
        (setting(token_pattern=None), "token_pattern of .* but got None"),
        (setting(analyzer="char"), "analyzer of .* should be 'word', but got 'char'"),
        (setting(analyzer=print), "analyzer of .* should be 'word'"),
        (setting(tokenizer=len), "tokenizer of .* should be None"),
        (setting(preprocessor=str.upper), "preprocessor of .* should be None"),
        (setting(ngram_range=(1, 10**9)), r"ngram_range of .* should be \(1, 1\)"),
        (setting(stop_words=["the"]), "stop_words of .* should be None"),
        (setting(vocabulary={"a": 1}), "vocabulary of .* should be None"),
        (setting(encoding="idna"), "encoding of .* should be 'utf-8'"),
        (setting(lowercase=False), "lowercase of .* should be True"),
        (shifted(1), POSITIONS),
        (shifted(2**40), POSITIONS),
        (shifted(-(2**40)), POSITIONS),
        (lambda vectorizer: vectorizer.vocabulary_.update(music=0), POSITIONS),
        (lambda vectorizer: vectorizer.vocabulary_.update(music=np.int64(5)), POSITIONS),
    ],
)
def test_vectorizer_that_reads_otherwise_is_refused(
    change: Callable[[TfidfVectorizer], object], line: str
) -> None:
    read_skops(save(lambda _: None))
    with pytest.raises(ModelError, match=f"^model: {line}") as caught:
        read_skops(save(change))
    assert caught.value.hint == "nothing of it was run"


def test_vectorizer_within_another_step_is_looked_at_too() -> None:
    within = ColumnTransformer(
        [("text", build_vectorizer(10).set_params(input="filename"), "note")]
    )
    with pytest.raises(ModelError, match="input of"):
        read_skops(skops.io.dumps(ColumnTransformer([("within", within, ["note"])])))


def own_model(reader: Any) -> bytes:
    model = make_pipeline(ColumnTransformer([("text", reader, "note")]), LogisticRegression())
    return skops.io.dumps(model.fit(TEXTS, [0, 1, 0, 1]))


@pytest.mark.parametrize(
    "reader",
    [
        TfidfVectorizer(ngram_range=(1, 2), stop_words="english", max_features=9),
        TfidfVectorizer(vocabulary=["plot", "end"]),
        CountVectorizer(token_pattern=r"\S+", lowercase=False),
        HashingVectorizer(n_features=16),
    ],
)
def test_model_of_ones_own_reads_text_as_it_likes(reader: Any) -> None:
    loaded, _ = read_own(own_model(reader))
    assert loaded.predict(TEXTS).shape == (4,)


@pytest.mark.parametrize("position", [10**6, -1, 0])
def test_words_of_ones_own_stay_within_the_row(position: int) -> None:
    reader = CountVectorizer()
    model = make_pipeline(ColumnTransformer([("text", reader, "note")]), LogisticRegression())
    model.fit(TEXTS, [0, 1, 0, 1])[0].named_transformers_["text"].vocabulary_["plot"] = position
    with pytest.raises(ValueError, match="its words have positions that are not there"):
        read_own(skops.io.dumps(model))


@pytest.mark.parametrize("kind", [CountVectorizer, TfidfVectorizer, HashingVectorizer])
def test_own_reader_of_files_is_refused(kind: Any) -> None:
    model = make_pipeline(ColumnTransformer([("text", kind(), "note")]), LogisticRegression())
    model.fit(TEXTS, [0, 1, 0, 1])[0].named_transformers_["text"].input = "filename"
    with pytest.raises(ValueError, match="it takes a text for the name of a file"):
        read_own(skops.io.dumps(model))


def test_vectorizer_without_a_setting_is_refused() -> None:
    content = save(lambda vectorizer: vars(vectorizer).pop("input"))
    with pytest.raises(KeyError, match="input"):  # the loader says that it is damaged
        read_skops(content)


def test_model_that_was_saved_before_there_was_free_text_converts() -> None:
    converter = ColumnConverter(numeric=["a"]).fit(pd.DataFrame({"a": [1.0]}))
    del vars(converter)["free_text"]
    loaded = read_skops(skops.io.dumps(converter))
    assert "free_text" not in vars(loaded)
    assert loaded.get_params() == ColumnConverter(numeric=["a"]).get_params() | {"numeric": ["a"]}
    assert loaded.transform(pd.DataFrame({"a": ["2"]}))["a"].tolist() == [2.0]
    assert Columns.model_validate_json('{"numeric": ["a"]}').free_text == ()


N_ROWS = 60


def plan_of(directory: Path, table: pd.DataFrame, **overrides: Any) -> Plan:
    table.to_csv(directory / "t.csv", index=False)
    keys = {key.replace("__", "."): value for key, value in overrides.items()}
    base = {"data.source": str(directory / "t.csv"), "data.target": "y"}
    definition = load_definition(overrides=base | keys)
    return make_plan(definition, load_data(definition))


@pytest.fixture
def reviews() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    words = ["dull", "lovely", "plot", "music", "of", "the", "long", "scene", "light", "actor"]
    return pd.DataFrame({
        "stars": rng.normal(size=N_ROWS).round(2),
        "review": [" ".join(rng.choice(words, 12)) for _ in range(N_ROWS)],
        "y": rng.permutation(["no", "yes"] * (N_ROWS // 2)),
    })  # fmt: skip


@pytest.mark.parametrize(
    "name", ["RandomForestClassifier", "SVC", ["LogisticRegression", "RandomForestClassifier"]]
)
def test_estimator_that_takes_no_text_has_the_study_that_it_had(
    tmp_path: Path, reviews: pd.DataFrame, name: str | list[str]
) -> None:
    plan = plan_of(tmp_path, reviews, estimator__name=name)
    assert plan.dataset.columns.kinds() == {"numeric": ["stars"]}
    assert "'review' dropped: it is text" in plan.notes[0]
    assert "data.text" not in plan.identity({}).definition
    assert plan.dataset.digest == DIGEST_WITHOUT_TEXT


DIGEST_WITHOUT_TEXT = "778875092a886c55c36edd4b12d89b6e"
"""Of the table as it was when free text was dropped for every estimator."""


def test_study_that_was_begun_without_text_is_known_by_its_digest(
    tmp_path: Path, reviews: pd.DataFrame
) -> None:
    found = plan_of(tmp_path, reviews)
    without = plan_of(tmp_path, reviews, data__text=[])
    assert without.dataset.digest == found.dataset.digest_without_text == DIGEST_WITHOUT_TEXT
    assert found.dataset.digest != DIGEST_WITHOUT_TEXT
    assert found.identity({}).definition == without.identity({}).definition
    assert list(found.identity({}).earlier) == [DIGEST_WITHOUT_TEXT]
    assert not without.identity({}).earlier
    named = plan_of(tmp_path, reviews, data__text=["review"])
    assert named.identity({}).definition["data.text"] == ["review"]
    assert not named.identity({}).earlier


def test_study_that_was_begun_without_text_is_refused_with_the_way_on(
    tmp_path: Path, reviews: pd.DataFrame
) -> None:
    without = plan_of(tmp_path, reviews, data__text=[]).identity({})
    found = plan_of(tmp_path, reviews).identity({})
    url = f"sqlite:///{tmp_path}/optuna.db"
    for identity in (without, without):
        with open_ledger(url, identity):
            pass
    with pytest.raises(IdentityError, match="data 77887509 -> ") as caught, open_ledger(url, found):
        pass
    assert "data.text = [] in a study file goes on without it, or" in str(caught.value.hint)


def test_fold_whose_training_rows_have_no_words_is_refused(
    tmp_path: Path, reviews: pd.DataFrame
) -> None:
    reviews["who"] = np.arange(N_ROWS) % 12
    reviews["review"] = reviews["review"].where(reviews["who"] == 0)
    line = "column 'review' holds no words in the training rows of a fold"
    with pytest.raises(DataError, match=line) as caught:
        plan_of(tmp_path, reviews, data__text=["review"], data__group="who", study__seed=4)
    assert caught.value.hint == "name it in data.drop"


def test_too_many_words_are_refused_with_the_key_that_takes_fewer(
    tmp_path: Path, reviews: pd.DataFrame
) -> None:
    with pytest.raises(DataError, match=r"has 11 columns after preprocessing.* = 10") as caught:
        plan_of(tmp_path, reviews, preprocessing__max_features=10)
    assert "preprocessing.max_words" in caught.value.hint
    fewer = {"preprocessing__max_features": 10, "preprocessing__max_words": 9}
    assert plan_of(tmp_path, reviews, **fewer).space.shape.n_features == 10


def test_text_needs_memory_for_its_words(tmp_path: Path, reviews: pd.DataFrame) -> None:
    plan = plan_of(tmp_path, reviews)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = "a" * 2**24
    rows = pd.Series([text] * (memory // len(text) // 10), dtype=object)  # in memory once
    huge = pd.DataFrame({"review": rows})
    with pytest.raises(DataError, match=r"need about \d+ GiB of memory"):
        check_size(replace(plan.dataset, X_train=huge), plan.definition)
