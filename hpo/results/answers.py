"""Sentences about what a model answers: its threshold, what that brings, its probabilities."""

from hpo.decision_section import COST
from hpo.escaping import quote
from hpo.results.calibration import ProbabilityScores
from hpo.results.decisions import JudgedDecision
from hpo.results.intervals import Estimate
from hpo.results.thresholds import HALF

TOO_FEW = "too few rows held out to say how sure"
"""Stands where an interval would."""

_WHY = {
    "best": "out of fold it did better than {start} by more than noise",
    "within": "the best out of fold that fulfils {conditions}",
    "nearest": "NO THRESHOLD fulfilled {conditions} out of fold, this one is nearest",
}


def describe_decision(decision: JudgedDecision) -> list[str]:
    """How the model answers, what that brings, and against what, one line each."""
    return [_describe_rule(decision), _describe_score(decision), *_describe_savings(decision)]


def _describe_rule(decision: JudgedDecision) -> str:
    """How the model answers, and why so."""
    chosen = decision.choice.threshold
    if chosen is None:
        return "the answer that is expected to cost least, by the cost of each mistake"
    positive = quote(decision.choice.decision.positive)
    is_cost = decision.objective == COST
    if chosen.reason == "start":
        theirs = "the cost's own threshold" if is_cost and chosen.start != HALF else "the usual one"
        why = f"{theirs}: out of fold no other did better by more than noise"
    else:
        listed = " and ".join(
            f"{name} >= {least:g}" for name, least in decision.conditions_asked.items()
        )
        why = _WHY[chosen.reason].format(start=f"{chosen.start:.3g}", conditions=listed)
    return f"{positive} from a probability of {chosen.threshold:.3g} on, {why}"


def _describe_score(decision: JudgedDecision) -> str:
    """The score of answering so on the hold-out: a cost a row, or a scorer's."""
    score = decision.score
    if decision.objective == COST:
        text = f"held out: cost {-score.value:.4g} a row{_interval(-score)}"
    else:
        text = f"held out: {decision.objective} {score.value:.4f}{_interval(score)}"
    for name, each in decision.conditions.items():
        text += f", {name} {each.value:.4f}{_interval(each)}"
    return text


def _describe_savings(decision: JudgedDecision) -> list[str]:
    """The gains over answering otherwise, one line each."""
    likelier = "at threshold 0.5" if decision.choice.threshold else "with the likeliest class"
    compared = [(f"the same model {likelier}", decision.over_likelier)]
    if decision.over_defaults is not None:
        compared.append((f"the defaults {likelier}", decision.over_defaults))
    compared.append((f"always {quote(decision.answer)}", decision.over_answer))
    return [f"against {name}: {_describe_gain(decision, gain)}" for name, gain in compared]


def describe_probabilities(probabilities: ProbabilityScores) -> str:
    """How good the probabilities are, and how they were mended."""
    scores = ", ".join(
        f"{name.replace('_', ' ')} {each.value:.4f}{_interval(each)}"
        for name, each in probabilities.scores.items()
    )
    gain = probabilities.gain
    if gain is None:
        return scores
    log_loss = f"log loss {-gain.value:+.4f}{_interval(-gain)} out of fold"
    if probabilities.method == "none":
        brings = "makes them worse" if gain.high < 0 else "brings no more than noise"
        return f"{scores}; left as they are, mending {brings}: {log_loss}"
    return f"{scores}; mended by {probabilities.method}: {log_loss}"


def _describe_gain(decision: JudgedDecision, gain: Estimate) -> str:
    """How much better or worse it is, and whether that is more than noise."""
    verbs, unit = (
        (("saves", "costs"), " a row") if decision.objective == COST else (("gains", "loses"), "")
    )
    if gain.value < 0:
        gain = -gain
        verbs = verbs[::-1]
    more = " more" if verbs[0] == "costs" else ""
    number = f"{verbs[0]} {gain.value:.4g}{more}{unit}{_interval(gain)}"
    if not gain.is_known:
        return number
    if gain.low <= 0:
        return f"{number}: not measurably different"
    return f"{number}: {'WORSE' if verbs[0] in ('costs', 'loses') else 'better'}"


def _interval(estimate: Estimate) -> str:
    if not estimate.is_known:
        return f" ({TOO_FEW})"
    return f" ({estimate.low:.4g} to {estimate.high:.4g})"
