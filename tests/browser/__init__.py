"""What a person reads on ``mlflow ui`` and ``optuna-dashboard`` of a real run, in Debian's
Chromium.
"""
