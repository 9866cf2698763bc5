"""What came of a search: the chosen trial, its hold-out scores with intervals, texts and figures.

Takes trials and a fitted model; gives values, templates filled in, and pictures.
"""
