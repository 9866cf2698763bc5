"""The outcome in values, words and pictures: the choice, hold-out scores, intervals, figures.

Takes trials and a fitted model; gives values, templates filled in, and pictures.
"""
