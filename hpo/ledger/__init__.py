"""The Optuna study as the ledger: opened, locked, resumed; trials stored whole, in one transaction each.

Knows trials and their attributes; knows nothing of a search space, an estimator or MLflow.
"""
