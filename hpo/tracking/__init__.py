"""MLflow: what is to stand there as frozen values, and what writes it, beside the search.

The only room that imports MLflow. It reads the ledger and never stops or slows the search.
"""
