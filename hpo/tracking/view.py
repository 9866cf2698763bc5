"""Links into MLflow's pages, each without the server's address, and the name of the saved view that one of them opens."""


def runs_path(experiment_id: str, run_id: str = "") -> str:
    """To the runs of an experiment, or to one: the page is for language models unless told otherwise."""
    return f"#/experiments/{experiment_id}/runs{f'/{run_id}' if run_id else ''}?workflowType=machine_learning"


def comparison_path(experiment_id: str, study_uid: str) -> str:
    """To the comparison of a study's trials; the menu "Views" of the page lists it too."""
    return f"{runs_path(experiment_id)}&compareRunsMode=CHART&viewStateShareKey={view_id(study_uid)}"


def view_id(study_uid: str) -> str:
    """What follows ``mlflow.sharedViewState.`` in the experiment's tag that holds the view."""
    return f"hpo-{study_uid[:12]}"
