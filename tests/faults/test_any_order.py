"""Whatever is done to a study, in whatever order: the next runs converge or lead on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import AnyOrder

N_ORDERS = 4
N_STEPS = 8
"""In the suite, at most; ``--hypothesis-profile=explore`` takes its own number of orders."""


def test_any_order_converges_or_leads_on(make_directory: Callable[[str], Path]) -> None:
    profile = settings.default
    orders = settings(
        profile,
        max_examples=N_ORDERS if profile.derandomize else profile.max_examples,
        stateful_step_count=N_STEPS,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(AnyOrder, make_directory), settings=orders)
