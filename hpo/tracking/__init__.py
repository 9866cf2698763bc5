"""MLflow, and the only room that knows it: takes a study's trials, and makes its runs equal to them.

Records say what is written, writers how; the follower works in a process of its own, or inline.
"""
