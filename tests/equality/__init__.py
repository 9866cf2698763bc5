"""Shows that two checkouts of ``hpo`` do the same: ``python -m tests.equality BEFORE [AFTER]``."""

import os

# Before MLflow is imported, here and in the processes that are compared.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
