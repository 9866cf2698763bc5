"""The service over HTTP: studies in and out as JSON and events, and one page that shows them all.

The app asks the ledger for everything and keeps nothing: any server of a storage answers the same.
FastAPI and uvicorn are imported here alone, and here only when ``hpo serve --http`` asks for them.
"""
