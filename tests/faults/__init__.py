"""Every row of the table of faults: the real fault in real processes, then the same command again,
then the whole invariant.

``python -m tests.faults`` is the soak, ``python -m tests.faults.away`` measures a search whose
MLflow is away.
"""
