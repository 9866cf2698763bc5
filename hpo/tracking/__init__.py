"""MLflow as a projection of the ledger: what is there is known by asking it, and what is missing is written again."""
