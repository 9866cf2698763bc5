"""The service: submitted studies, the servers that drive them, and how they are.

A wish in the ledger is the queue; a server is a loop over it that holds no state of its own.
"""
