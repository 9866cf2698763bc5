"""The search: the loop that asks, scores and tells, and where folds are scored.

Takes a plan and an open ledger; gives a filled ledger. Knows neither MLflow nor what is printed.
"""
