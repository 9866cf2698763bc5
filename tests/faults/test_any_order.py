"""Whatever is done to a study, in whatever order: the next runs converge or lead on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Verbosity, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import AnyOrder

ORDERS = settings(
    max_examples=8,
    stateful_step_count=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    verbosity=Verbosity.normal,
)


def test_any_order_converges_or_leads_on(make_directory: Callable[[str], Path]) -> None:
    run_state_machine_as_test(partial(AnyOrder, make_directory), settings=ORDERS)
