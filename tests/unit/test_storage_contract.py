"""Optuna's own conformance tests of a storage, against the one that ``hpo`` opens."""

from __future__ import annotations

import gc
import warnings

import pytest
from optuna.testing.pytest_storages import StorageTestCase

from hpo.ledger.storage import open_storage


@pytest.fixture(scope="module")
def postgresql(cluster):
    gc.freeze()  # What is there now need not be looked through after each test.
    yield cluster.make_database("contract")
    gc.unfreeze()


class TestSqlite(StorageTestCase):
    @pytest.fixture
    def storage(self, directory):
        opened = open_storage(f"sqlite:///{directory}/optuna.db")
        yield opened
        opened.engine.dispose()


class TestPostgresql(StorageTestCase):
    @pytest.fixture
    def storage(self, postgresql):
        opened = open_storage(postgresql)
        yield opened
        for study in opened.get_all_studies():
            opened.delete_study(study._study_id)
        opened.engine.dispose()
        # Optuna leaves the sessions of a test's threads to the collector.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            gc.collect()
