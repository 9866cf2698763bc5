"""The search: the loop that asks, scores and tells, where folds are scored, and searches nested in outer folds.

Takes a plan and an open ledger; gives a filled ledger. Knows neither MLflow nor what is printed.
"""
