"""The Optuna study as the ledger: opened, locked, resumed; a trial stored in one transaction.

Knows trials and their attributes; knows nothing of a search space, an estimator or MLflow.
"""
