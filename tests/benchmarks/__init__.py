"""Whole processes against each other: ``hpo`` and the script that it replaces."""
