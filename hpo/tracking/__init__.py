"""MLflow: what is to stand there as frozen values, and what makes it so, in a process of its own or inline.

The only room that imports MLflow. It reads the ledger and never stops or slows the search.
"""
