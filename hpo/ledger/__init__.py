"""The Optuna study as the ledger: opened, locked, resumed; a trial stored in one transaction.

Knows trials and their attributes, the sampler and the pruner; knows no search space, no estimator.
"""
