"""Study files and flags: what is accepted, and the one line that says what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hpo.definition import StudyDefinition
from hpo.errors import DefinitionError
from hpo.estimators.logistic_regression import LogisticRegressionSpace
from hpo.identity import digest_of
from hpo.search_space import Range, choices_of
from hpo.study_file import load_definition


def load_text(tmp_path: Path, text: str, **overrides: object) -> StudyDefinition:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    return load_definition(
        path, {key.replace("__", "."): value for key, value in overrides.items()}
    )


def test_no_file_is_the_iris_study():
    definition = load_definition()
    assert definition.name == "iris"
    assert definition.study.metric == "accuracy"
    assert definition.study.n_trials == 50
    assert definition.search_space.C.model_dump() == {"low": 1e-4, "high": 1e4, "log": True}


def test_file_values_replace_defaults_key_by_key(tmp_path):
    definition = load_text(
        tmp_path,
        '[study]\nname = "tuned"\nn_trials = 7\n[search_space]\nC = [0.1, 1]\npenalty = "l2"\n',
    )
    assert definition.name == "tuned"
    assert definition.study.n_trials == 7
    assert definition.study.seed == 0
    assert definition.search_space.C == (0.1, 1.0)
    assert definition.search_space.penalty == "l2"


def test_flag_wins_over_file_and_file_over_default(tmp_path):
    definition = load_text(tmp_path, "[study]\nn_trials = 7\nseed = 3\n", study__n_trials=9)
    assert (definition.study.n_trials, definition.study.seed) == (9, 3)


def test_definition_is_frozen():
    definition = load_definition()
    with pytest.raises(ValidationError, match="frozen"):
        definition.study.n_trials = 3


@pytest.mark.parametrize("source", ["wine", "data/wine.csv", "/somewhere/wine.csv.gz"])
def test_name_is_the_datas_where_none_is_given(source):
    assert load_definition(overrides={"data.source": source}).name == "wine"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[study]\nn_trials = 0",
            r"study\.n_trials: should be greater than or equal to 1, but got 0$",
        ),
        ("[study]\nn_trials = 5.0", r"study\.n_trials: should be a valid integer, but got 5\.0$"),
        ("[study]\nn_trials = true", r"study\.n_trials: should be a valid integer, but got True$"),
        ('[study]\nn_trials = "5"', r"study\.n_trials: should be a valid integer, but got '5'$"),
        ("[study]\nseed = -1", r"study\.seed: should be greater than or equal to 0, but got -1$"),
        (
            "[study]\ntimeout_seconds = nan",
            r"study\.timeout_seconds: should be greater than 0, but got nan$",
        ),
        (
            "[study]\nmax_failed = 1.5",
            r"study\.max_failed: should be less than or equal to 1, but got 1\.5$",
        ),
        (
            '[study]\nname = "../x"',
            r"study\.name: a study name should be 1 to 128 letters.*, but got '\.\./x'$",
        ),
        ('[study]\nname = ""', r"study\.name: a study name should be"),
        ("[data]\ntest_size = 1.0", r"data\.test_size: should be less than 1, but got 1\.0$"),
        ('[data]\ndrop = "a"', r"data\.drop: should be a list, but got 'a'$"),
        ("[cv]\nn_splits = 1", r"cv\.n_splits: should be greater than or equal to 2, but got 1$"),
        (
            "[search_space]\nC = {low = 2, high = 1}",
            r"search_space\.C: low should be below high, but got low = 2, high = 1$",
        ),
        (
            "[search_space]\nC = {low = 0, high = 1, log = true}",
            r"search_space\.C: low should be above 0 where log is true, but got low = 0$",
        ),
        (
            "[search_space]\nC = {low = 1}",
            r"search_space\.C\.high: this key is required, but got only low$",
        ),
        (
            "[search_space]\nC = {}",
            r"search_space\.C\.low: this key is required, but got only nothing$",
        ),
        (
            "[search_space]\nC = {low = 0, high = 1}",
            r"search_space\.C: should be above 0 and below 2147483648, but got 0$",
        ),
        (
            "[search_space]\nC = {low = 1, high = inf}",
            r"search_space\.C: both ends should be finite, but got low = 1, high = inf$",
        ),
        (
            "[search_space]\nC = -1",
            r"search_space\.C: should be above 0 and below 2147483648, but got -1$",
        ),
        ("[search_space]\nC = [1, 1.0]", r"search_space\.C: choices should be distinct"),
        (
            "[search_space]\nC = []",
            r"search_space\.C: should have at least one entry, but got \[\]$",
        ),
        (
            "[search_space]\nC = {low = 1, high = 2, log = 1}",
            r"search_space\.C\.log: should be a valid boolean, but got 1$",
        ),
        (
            "[search_space]\nl1_ratio = [0.5, 1]",
            r"search_space\.l1_ratio: should be above 0 and below 1, but got 1$",
        ),
        (
            '[search_space]\npenalty = "l3"',
            r"search_space\.penalty: should be .*'l1'.*, but got 'l3'$",
        ),
        (
            "[search_space]\npenalty = {low = 1, high = 2}",
            r"search_space\.penalty: a name or a list of names is allowed here",
        ),
        (
            "[search_space]\nmax_iter = {low = 0.5, high = 9}",
            r"search_space\.max_iter: should be a whole number, but got 0\.5$",
        ),
        (
            '[search_space]\nsolver = "lbfgs"',
            r"search_space: solver should fit every penalty \('l1' takes .*\), but got 'lbfgs'$",
        ),
        (
            '[sampler]\nkind = "grid"',
            r"sampler\.kind: should be 'tpe' or 'random', but got 'grid'$",
        ),
        ("study = 1", r"study: should be a table, but got 1$"),
    ],
)
def test_wrong_value_names_file_key_rule_and_value(tmp_path, text, line):
    with pytest.raises(DefinitionError, match=r"^\S*study\.toml: " + line):
        load_text(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[study]\nn_trails = 5", r"study\.n_trails: unknown key; allowed here: name, .*n_trials", "did you mean 'n_trials'?"),
        ("[serach_space]\nC = 1", r"serach_space: unknown key; allowed here: study, data", "did you mean 'search_space'?"),
        ("[search_space]\nC = {low = 1, hihg = 2, high = 3}", r"search_space\.C\.hihg: unknown key; allowed here: low, high, log, when$",
         "did you mean 'high'?"),
        (
            "zzz = 1",
            r"zzz: unknown key; allowed here: study, data, preprocessing, cv, estimator, search_space, fixed, sampler, pruner, limits, selection, decision, registry$",
            None,
        ),
    ],
)  # fmt: skip
def test_unknown_key_is_refused_with_the_nearest_one(tmp_path, text, line, hint):
    with pytest.raises(DefinitionError, match=line) as caught:
        load_text(tmp_path, text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("key", "value", "flag"),
    [("study__n_trials", 0, "--trials"), ("study__timeout_seconds", -1.0, "--timeout"), ("study__seed", -1, "--seed"),
     ("study__name", "a b", "--name"), ("data__source", "", "--data")],
)  # fmt: skip
def test_wrong_flag_is_named_as_the_flag(tmp_path, key, value, flag):
    with pytest.raises(DefinitionError, match=f"^flag {flag}: "):
        load_text(tmp_path, "[study]\nn_trials = 5\n", **{key: value})


def test_wrong_file_beside_a_good_flag_is_the_files_fault(tmp_path):
    with pytest.raises(DefinitionError, match=r"study\.toml: study: "):
        load_text(tmp_path, "study = 1", study__n_trials=5)


@pytest.mark.parametrize("key", ["range", "choices"])
def test_unknown_key_named_like_a_kind_of_entry_is_refused(tmp_path, key):
    with pytest.raises(DefinitionError, match=f"{key}: unknown key; allowed here: study, data"):
        load_text(tmp_path, f"{key} = 1")


@pytest.mark.parametrize("key", ["range", "conditional", "fixed"])
def test_unknown_key_of_an_entry_that_is_named_like_a_kind_of_entry_is_refused(tmp_path, key):
    with pytest.raises(
        DefinitionError,
        match=rf"search_space\.C\.{key}: unknown key; allowed here: low, high, log, when$",
    ):
        load_text(tmp_path, f"[search_space]\nC = {{{key} = 1}}")


def test_missing_file_is_said_with_its_path(tmp_path):
    with pytest.raises(
        DefinitionError,
        match=r"nowhere\.toml: the study file cannot be read \(No such file or directory\)$",
    ) as caught:
        load_definition(tmp_path / "nowhere.toml")
    assert "--study FILE" in caught.value.hint


def test_directory_is_no_study_file(tmp_path):
    with pytest.raises(DefinitionError, match=r"cannot be read \(Is a directory\)$"):
        load_definition(tmp_path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_file_in_another_encoding_is_refused(tmp_path, encoding):
    path = tmp_path / "study.toml"
    path.write_bytes('# é\n[study]\nname = "a"\n'.encode(encoding))
    with pytest.raises(
        DefinitionError, match=r"a study file should be UTF-8 text, but got other bytes at \d+$"
    ):
        load_definition(path)


def test_file_that_is_not_toml_says_the_line(tmp_path):
    with pytest.raises(DefinitionError, match=r"this is not TOML: .*line 2"):
        load_text(tmp_path, "[study]\nname: x\n")


@pytest.mark.parametrize(
    "text",
    ["x = " + "1" * 5000, "x = " + "[" * 5000],
    ids=["a number of 5000 digits", "5000 brackets"],
)
def test_file_that_the_toml_parser_gives_up_on_is_refused(tmp_path, text):
    with pytest.raises(DefinitionError, match="not TOML"):
        load_text(tmp_path, text)


@pytest.mark.parametrize(
    "solver",
    [
        "lbfgs",
        "newton-cg",
        "newton-cholesky",
        "sag",
        "saga",
        "liblinear",
        "proximal-newton",
        "lbfgs-b",
    ],
)
@pytest.mark.parametrize("penalty", ["none", "l2", "l1", "elasticnet"])
def test_solver_is_accepted_where_it_can_fit_the_penalty(penalty, solver):
    is_ours = solver in ("proximal-newton", "lbfgs-b")
    able = {
        "none": solver != "liblinear" and not is_ours,
        "l2": True,
        "l1": solver in ("liblinear", "saga") or is_ours,
        "elasticnet": solver == "saga" or is_ours,
    }[penalty]
    try:
        LogisticRegressionSpace(penalty=penalty, solver=solver)
    except ValidationError:
        assert not able
    else:
        assert able


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        (None, ()),
        (1.0, (1.0,)),
        ((1.0, 2.0), (1.0, 2.0)),
        (Range(low=1, high=2), (1.0, 2.0)),
        ("l2", ("l2",)),
    ],
)
def test_choices_of_an_entry(entry, values):
    assert choices_of(entry) == values


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("study.n_trials", 3),
        ("study.timeout_seconds", 1.0),
        ("study.patience", 5),
        ("study.max_failed", 0.1),
        ("study.name", "other"),
        ("limits.fit_seconds", 60.0),
        ("limits.fit_memory", "2 GB"),
    ],
)
def test_stop_rules_name_and_limits_are_not_identity(key, value):
    changed = load_definition(overrides={key: value})
    assert changed != load_definition()
    assert changed.identity() == load_definition().identity()


@pytest.mark.parametrize(
    ("key", "value"),
    [("study.seed", 1), ("study.metric", "f1_macro"), ("study.concurrency", 2), ("study.metrics", ["f1_macro"]),
     ("data.target", "x"), ("data.numeric", ["x"]), ("data.categorical", ["x"]), ("data.group", "x"),
     ("data.text", ["x"]), ("preprocessing.max_words", 999), ("preprocessing.min_frequency", 5), ("preprocessing.max_categories", 5), ("preprocessing.max_features", 5),
     ("pruner.kind", "median"), ("pruner.n_startup_trials", 2), ("pruner.n_warmup_steps", 2),
     ("data.test_size", 0.3), ("data.drop", ["x"]), ("cv.n_splits", 3), ("cv.n_repeats", 2),
     ("search_space.C", 1.0), ("fixed.C", 1.0),
     ("search_space.solver", "saga"), ("sampler.kind", "random"), ("sampler.n_startup_trials", 3)],
)  # fmt: skip
def test_what_is_searched_and_judged_is_identity(key, value):
    changed = load_definition(overrides={key: value}).identity()
    assert changed != load_definition().identity()
    assert digest_of(changed) != digest_of(load_definition().identity())


def test_identity_is_flat_with_dotted_keys():
    identity = load_definition().identity()
    assert identity["search_space.C.low"] == 1e-4
    assert identity["search_space.penalty"] == ["l2", "l1", "elasticnet"]


def test_digest_does_not_depend_on_the_order_of_keys():
    identity = load_definition().identity()
    assert digest_of(dict(reversed(identity.items()))) == digest_of(identity)
    assert len(digest_of(identity)) == 32


@pytest.mark.parametrize(
    ("source", "found"),
    [("a.csv", "{}/a.csv"), ("sub/a.parquet", "{}/sub/a.parquet"), ("/srv/a.csv", "/srv/a.csv")],
)
def test_data_file_is_found_from_the_study_file_and_a_bundled_name_stays(tmp_path, source, found):
    assert load_text(tmp_path, f'[data]\nsource = "{source}"').data.source == found.format(tmp_path)
    assert load_text(tmp_path, '[data]\nsource = "wine"').data.source == "wine"


def test_data_file_of_a_flag_is_found_from_the_working_directory(tmp_path):
    assert (
        load_text(tmp_path, '[data]\nsource = "a.csv"', data__source="b.csv").data.source == "b.csv"
    )


def test_place_of_the_data_is_not_identity(tmp_path):
    here, there = (
        load_text(tmp_path, f'[data]\nsource = "{source}"') for source in ("a.csv", "/srv/a.csv")
    )
    assert here.identity() == there.identity()


@pytest.mark.parametrize("source", ["größe.csv", "-x.csv", "a b.csv", "'; drop table trials.csv"])
def test_file_whose_name_is_no_study_name_needs_one(source):
    with pytest.raises(
        DefinitionError,
        match=r"a study name should be 1 to 128 letters.*: set study\.name or --name$",
    ):
        load_definition(overrides={"data.source": source})
    assert load_definition(overrides={"data.source": source, "study.name": "named"}).name == "named"


def test_race_of_two_folds_is_refused():
    line = "pruner.kind = 'race' stops no trial of two folds"
    with pytest.raises(DefinitionError, match=line):
        load_definition(overrides={"pruner.kind": "race", "cv.n_splits": 2})
    repeated = {"pruner.kind": "race", "cv.n_splits": 2, "cv.n_repeats": 2}
    assert load_definition(overrides=repeated).pruner.kind == "race"


def test_directory_that_has_no_name_is_left_for_the_data_to_refuse():
    assert load_definition(overrides={"data.source": "../"}).data.source == "../"


def test_file_whose_name_is_too_long_for_any_directory_is_refused():
    with pytest.raises(DefinitionError, match="a study name should be 1 to 128 letters"):
        load_definition(overrides={"data.source": f"{'a' * 500}.csv"})
