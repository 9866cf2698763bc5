"""Where a run can be struck: public functions of ours and of the libraries, by what they do."""

OPEN_STUDY = "hpo.ledger.identity:open_study"
DESCRIBE_STUDY = "optuna.study:Study.set_user_attr"
CREATE_TRIAL = "hpo.ledger.transactions:LedgerStorage.start_trial"
SCORE_FOLD = "hpo.estimators.cross_validation:CrossValidation.evaluate"
TELL = "hpo.ledger.ledger:Ledger.tell"

IMPORT_TRACKING = "hpo.tracking.follower:warm_up"
FILL_TABLES = "hpo.tracking.tables:fill_tables"
_CLIENT = "mlflow.tracking:MlflowClient"
CREATE_RUN = f"{_CLIENT}.create_run"
END_RUN = f"{_CLIENT}.set_terminated"
CREATE_MODEL = f"{_CLIENT}.create_logged_model"
UPLOAD_MODEL = f"{_CLIENT}.log_model_artifacts"
DRAW = "hpo.tracking.writer:MlflowWriter.write_drawings"
CREATE_VERSION = f"{_CLIENT}.create_model_version"
CLOSE = "hpo.tracking.writer:MlflowWriter.close"

ALL = tuple(value for name, value in sorted(vars().items()) if name.isupper())
