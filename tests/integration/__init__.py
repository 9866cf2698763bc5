"""Real parts only: SQLite files, subprocesses, an MLflow server, HTTP, signals."""
