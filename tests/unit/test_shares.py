"""What each slot of a server gets of its machine."""

from __future__ import annotations

import psutil
import pytest

from hpo.service.shares import memory_of_slot, share_workers
from hpo.settings import ServiceSettings

MACHINE = psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("limit", "n_bytes"),
    [(None, MACHINE), ("max\n", MACHINE), ("1000000\n", 1_000_000), (f"{2 * MACHINE}\n", MACHINE)],
)
@pytest.mark.parametrize("n_slots", [1, 4])
def test_memory_is_that_of_the_machine_or_of_its_container(tmp_path, limit, n_bytes, n_slots):
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit)
    assert memory_of_slot(n_slots, path) == int(0.8 * n_bytes / n_slots)


@pytest.mark.parametrize(("n_workers", "n_slots", "most"), [(8, 2, "4"), (2, 4, "1")])
def test_workers_of_this_machine_are_divided(n_workers, n_slots, most):
    settings, variables = share_workers(ServiceSettings(workers=n_workers), n_slots)
    assert settings.workers == "auto"
    assert variables == {"LOKY_MAX_CPU_COUNT": most}


def test_workers_of_a_cluster_are_shared_by_it():
    settings = ServiceSettings(workers="tcp://scheduler:8786")
    assert share_workers(settings, 4) == (settings, {})
