"""The outcome of a search: takes trials and a fitted model, gives values, texts, figures.

It chooses the trial, judges the model on the hold-out, and says how sure each number is. It knows
nothing of MLflow but the addresses of its pages.
"""
