"""MLflow, known in this room alone: takes a study's trials, makes its runs equal to them.

Records say what is written, writers how; the follower works in a process of its own, or inline.
"""
