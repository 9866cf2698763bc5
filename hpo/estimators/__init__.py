"""Estimators: recipes, tasks, preprocessing, cross-validation, the model that ships.

A new estimator is a recipe in a module here, and one line in the table ``recipes.py``.
"""
