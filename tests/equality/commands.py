"""What both checkouts are told to do: the commands of each study, and the files that they need."""

PENGUINS = """
[study]
name = "penguins"
metric = "neg_log_loss"
[data]
source = "penguins.csv"
target = "Species"
drop = ["studyName", "Individual ID"]
[pruner]
kind = "median"
n_startup_trials = 2
[selection]
rule = "one_standard_error"
refit = "all"
"""
FAILING = """
[study]
name = "failing"
max_failed = 1.0
[search_space]
penalty = "l2"
solver = "sag"
C = [1e-30, 1.0]
"""
FILES = {"penguins": {"study.toml": PENGUINS}, "failing": {"study.toml": FAILING}}
"""Written into a study's directory before its first command."""

TABLES = {"penguins": ("palmerpenguins", "palmerpenguins/data/penguins-raw.csv", "penguins.csv")}
"""Package of the tests, path in it, name in the study's directory."""

RUN = "run --workers 1"
NO_PLOTS = f"{RUN} --no-plots"
STUDIES: dict[str, tuple[str, ...]] = {
    "iris": (
        f"{RUN} --study CHECKOUT/studies/iris.toml --trials 15",
        # Nothing to do.
        f"{RUN} --study CHECKOUT/studies/iris.toml --trials 15 --json",
        "check --study CHECKOUT/studies/iris.toml",
        f"{RUN} --study CHECKOUT/studies/iris.toml --seed 1",
    ),
    "wine": (
        f"{NO_PLOTS} --study CHECKOUT/studies/wine.toml --trials 8 --json",
        f"{NO_PLOTS} --study CHECKOUT/studies/wine.toml --trials 12",
    ),
    "breast_cancer": (f"{RUN} --study CHECKOUT/studies/breast_cancer.toml --trials 12 --json",),
    "digits": ("run --workers 2 --no-plots --study CHECKOUT/studies/digits.toml --trials 12",),
    "penguins": (
        f"{RUN} --study study.toml --trials 1 --dry-run",
        f"{RUN} --study study.toml --trials 12 --register penguins",
        "predict models:/penguins@champion penguins.csv",
    ),
    "nested": (f"{NO_PLOTS} --study CHECKOUT/studies/iris.toml --trials 6 --nested 2",),
    "registry": (
        f"{NO_PLOTS} --study CHECKOUT/studies/iris.toml --trials 2 --register flowers",
        f"{NO_PLOTS} --study CHECKOUT/studies/iris.toml --trials 5 --register flowers --json",
    ),
    "failing": (
        f"{NO_PLOTS} --study study.toml --trials 8",
        "run --study study.toml --trials none",
        "run --study study.toml --metric nothing --json",
        "run --help",
        "check --help",
        "predict --help",
        "ui --help",
        "definition --schema",
    ),
}
"""The commands of each study, in its one directory."""
