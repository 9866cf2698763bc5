"""Metrics for Prometheus, read from the ledger when they are asked for.

They are those of the storage, not of one server: every server of a storage says the same.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from hpo.service.http.page import STATES
from hpo.service.status import StudyStatus

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Studies(Collector):
    def __init__(self, studies: Sequence[StudyStatus], seconds_behind: float | None) -> None:
        self._studies = studies
        self._seconds_behind = seconds_behind

    def collect(self) -> Iterable[Metric]:
        counts = Counter(study.state for study in self._studies)
        by_state = GaugeMetricFamily("hpo_studies", "Submitted studies by state.", labels=["state"])
        for state in STATES:
            by_state.add_metric([state], counts[state])
        yield by_state
        yield GaugeMetricFamily("hpo_queue_length", "Studies that wait.", counts["queued"])
        yield GaugeMetricFamily("hpo_running", "Studies that are driven.", counts["running"])
        told = sum(study.n_trials for study in self._studies)
        yield CounterMetricFamily("hpo_trials_told", "Finished trials of submitted studies.", told)
        failed = sum(study.n_failed for study in self._studies)
        yield CounterMetricFamily("hpo_trials_failed", "Failed trials among them.", failed)
        is_up = self._seconds_behind is not None
        yield GaugeMetricFamily("hpo_mlflow_up", "Whether MLflow answered.", int(is_up))
        if self._seconds_behind is not None:
            text = "How long ago the oldest trial ended that MLflow does not have."
            yield GaugeMetricFamily("hpo_mlflow_behind_seconds", text, self._seconds_behind)


def render_metrics(studies: Sequence[StudyStatus], seconds_behind: float | None) -> bytes:
    """Give the metrics as Prometheus reads them.

    Args:
        studies: All submitted ones.
        seconds_behind: How far MLflow is behind, or None while it is away.
    """
    registry = CollectorRegistry()
    registry.register(_Studies(studies, seconds_behind))
    return generate_latest(registry)
