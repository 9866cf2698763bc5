"""Verdicts of a result in plain words, each one line: what a person reads before any figure.

Nothing is called better or worse unless its interval says so.
"""

from typing import Literal

from hpo.estimators.final_model import FinalModel
from hpo.results import answers
from hpo.results.answers import TOO_FEW
from hpo.results.estimates import BestTrial, Estimates
from hpo.results.intervals import Estimate, greatest_score
from hpo.results.over_time import show_time

Ended = Literal["finished", "timeout", "patience"]
"""How a search ended."""


class Verdicts:
    """The sentences about a result, made from the values that it holds."""

    metric: str
    n_trials: dict[str, int]
    best: BestTrial
    estimates: Estimates
    judged: FinalModel
    n_wanted: int
    n_missing: int
    ended: Ended

    @property
    def holdout(self) -> dict[str, float]:
        """Scorer name to score on the hold-out."""
        return self.judged.holdout

    def describe_interval(self, estimate: Estimate) -> str:
        """The 95 % interval of a score, or that there is none."""
        return f"{estimate.low:.4f} to {estimate.high:.4f}" if estimate.is_known else TOO_FEW

    @property
    def optimism(self) -> Estimate:
        """The best trial's mean CV score minus the final model's score on the hold-out."""
        cv = self.best.value
        held_out = self.estimates.holdout_score
        return Estimate(cv - held_out.value, cv - held_out.high, cv - held_out.low)

    def describe_verdict(self) -> str:
        """Whether to use the model, and whether tuning it was worth it."""
        constant = self.estimates.constant
        if not constant.is_beaten:
            return f"No better than {constant.answer}: do not use this model"
        if not constant.is_surely_beaten:
            rows = self.estimates.n_holdout_rows
            return f"Perhaps no better than {constant.answer}: {rows} held-out rows cannot tell"
        return self._describe_tuning(self.estimates.gain)

    def _describe_tuning(self, gain: Estimate | None) -> str:
        """Whether tuning was worth it."""
        if gain is None:
            return "The defaults failed: there is nothing to compare the model with"
        if gain.low == gain.high:
            return "Tuning changed nothing: the defaults are what was chosen"
        if not gain.is_known:
            rows = self.estimates.n_holdout_rows
            return f"Whether tuning helped, {rows} held-out rows are too few to say"
        if gain.low > 0:
            return f"Better than the defaults by {_format_amount(gain, self.metric)}"
        if gain.high < 0:
            return f"Worse than the defaults by {_format_amount(-gain, self.metric)}: keep those"
        return "Tuning made no measurable difference: the defaults do as well"

    def describe_constant(self) -> str:
        """How the model compares with one that ignores the columns."""
        constant = self.estimates.constant
        ours = self.estimates.holdout_score.value
        verdict = "better" if constant.is_surely_beaten else "perhaps no better"
        return (
            f"{constant.answer}: {self.metric} {constant.scores[self.metric]:.4f},"
            f" the model {ours:.4f}: {verdict if constant.is_beaten else 'no better'},"
            f" {_format_signed(constant.gain)}"
        )

    def describe_caution(self) -> str:
        """Why the model may be useless: by its own metric, or by accuracy; empty where neither."""
        constant = self.estimates.constant
        held_out = {**self.holdout, self.metric: self.estimates.holdout_score.value}
        if not constant.is_surely_beaten:
            found = "not measurably better than" if constant.is_beaten else "no better than"
            return f"{found} {constant.answer} ({self._compare(self.metric, held_out)})"
        name = "accuracy"
        if name in constant.scores and held_out[name] <= constant.scores[name]:
            return (
                "it is right no more often than the commonest class alone would be"
                f" ({self._compare(name, held_out)})"
            )
        return ""

    def describe_ties(self) -> str:
        """How many trials cannot be told from the highest one."""
        n_ties = self.estimates.n_ties
        trials = f"{self.n_trials['complete']} trials"
        if self.n_trials["pruned"]:
            trials = f"{self.n_trials['complete']} complete trials"
        n_converged = self.n_trials["complete"] - self.estimates.n_unconverged
        if 0 < n_converged < self.n_trials["complete"]:  # the others rank below
            trials = f"{n_converged} trials that converged"
        if n_ties > 1:
            return f"{n_ties} of {trials} tie within noise"
        return f"no other of {trials} ties within noise"

    def describe_contest(self) -> str:
        """Which estimator has the best trial, and whether that is more than noise; empty of one."""
        contest = self.estimates.contest
        if contest is None:
            return ""
        each = ", ".join(
            f"{score.name} none of {score.n_trials} trials"
            if score.value is None
            else f"{score.name} {score.value:.4f} (trial {score.number}, of {score.n_trials})"
            for score in contest.scores
        )
        lead = contest.lead
        if lead is None:
            return each
        if lead.low <= 0:
            return f"{each}: the folds cannot tell the first two apart"
        interval = f"95 % interval {lead.low:.4f} to {lead.high:.4f}"
        return f"{each}: the first leads by {lead.value:.4f} over the folds ({interval})"

    def describe_convergence(self) -> str:
        """How many fits did not converge; empty where all did."""
        n, n_complete = self.estimates.n_unconverged, self.n_trials["complete"]
        if self.best.converged:
            return f"{n} of {n_complete} trials did not converge" if n else ""
        return (
            f"DID NOT CONVERGE, as {n} of {n_complete} trials:"
            " its scores are those of an unfinished fit"
        )

    def describe_end(self) -> str:
        """Why trials are missing: timeout or patience; empty where none is."""
        if self.ended == "timeout":
            return (
                "the timeout ended the search,"
                f" {self.n_missing} of {self.n_wanted} trials are missing"
            )
        if self.ended == "patience":
            return (
                "ended by study.patience, since the last trials brought nothing better:"
                f" {self.n_missing} of {self.n_wanted} were not needed"
            )
        return ""

    def describe_next(self) -> str:
        """The command that goes on with the search."""
        if self.ended == "timeout":
            return (
                f"the same command  (goes on: {self.n_missing} trials are missing;"
                " with a longer --timeout it does more of them)"
            )
        if self.ended == "patience":
            return "the same command with a larger study.patience  (search on)"
        n_trials = max(self.n_wanted, sum(self.n_trials.values()))
        return f"the same command with --trials {2 * n_trials}  (search on)"

    def describe_gain(self) -> str:
        """The gain over the defaults, and what its interval says of it."""
        gain = self.estimates.gain
        if gain is None:
            return f"unknown: {self.estimates.defaults_title} failed"
        if gain.low == gain.high:
            return "none: the defaults are what was chosen"
        rows = self.estimates.n_holdout_rows
        if not gain.is_known:
            return f"{gain.value:+.4f} on {rows} held-out rows: too few to say"
        found = _by_sign(gain, "worse than", "not measurably different from", "better than")
        return f"{_format_signed(gain)} on {rows} held-out rows: {found} the defaults"

    def describe_answers(self) -> dict[str, list[str]]:
        """How the model answers and what that brings, by label; empty where nothing was asked."""
        decision, probabilities = self.estimates.decision, self.estimates.probabilities
        said = {} if decision is None else {"decision": answers.describe_decision(decision)}
        if probabilities is not None and (said or probabilities.asked != "none"):
            said["proba"] = [self.describe_probabilities()]
        return said

    def describe_probabilities(self) -> str:
        """How good the probabilities are; empty where there are none."""
        probabilities = self.estimates.probabilities
        return "" if probabilities is None else answers.describe_probabilities(probabilities)

    def describe_optimism(self) -> str:
        """How far the CV score can be believed, in words."""
        if not self.optimism.is_known:
            return f"cv minus hold-out {_format_signed(self.optimism)}"
        found = _by_sign(
            self.optimism, "cv promises too little", "within chance", "cv promises too much"
        )
        return f"cv minus hold-out {_format_signed(self.optimism)}: {found}"

    def describe_over_time(self) -> str:
        """The score part by part in the order of time, and whether it falls; empty of no order."""
        over_time = self.estimates.over_time
        if over_time is None:
            return ""
        *folds, held_out = over_time.periods
        scores = ", ".join(f"{fold.score:.4f}" for fold in folds)
        first, last = show_time(folds[0].first), show_time(held_out.last)
        change = over_time.change
        trend = _by_sign(change, "falls", "no measurable trend", "rises")
        if change.low * change.high > 0:
            trend += f" from part to part by {_format_signed(change)}"
        return f"{scores}, hold-out {held_out.score:.4f}, from {first} to {last}: {trend}"

    def _compare(self, name: str, held_out: dict[str, float]) -> str:
        return f"{name} {held_out[name]:.4f} against {self.estimates.constant.scores[name]:.4f}"


def _by_sign(estimate: Estimate, below: str, around: str, above: str) -> str:
    """The word for an interval below zero, around it, or above it."""
    if estimate.low > 0:
        return above
    return below if estimate.high < 0 else around


def _format_signed(estimate: Estimate) -> str:
    if not estimate.is_known:
        return f"{estimate.value:+.4f} ({TOO_FEW})"
    return f"{estimate.value:+.4f} ({estimate.low:+.4f} to {estimate.high:+.4f})"


def _format_amount(estimate: Estimate, metric: str) -> str:
    """An interval above zero: in points of a hundred where the metric ends at 1."""
    if greatest_score(metric) == 1:
        low, high = 100 * estimate.low, 100 * estimate.high
        return f"{_format_number(low)} to {_format_number(high)} points"
    return f"{_format_number(estimate.low)} to {_format_number(estimate.high)} of {metric}"


def _format_number(value: float) -> str:
    """Two digits, or all that are before the point."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
