"""What can be searched: recipes of estimators, tasks, preprocessing, cross-validation, and the model that ships.

A new estimator is one module here and one line in the table of recipes.
"""
