"""``submit``: hands a study in for a server to drive, and returns at once."""

import argparse

from hpo.commands.environment import use_mlflow_here
from hpo.commands.inputs import client_of, definition_of, settings_of
from hpo.commands.output import print_result
from hpo.estimators.metrics import check_metric_names


def submit(options: argparse.Namespace) -> int:
    """Check everything that a run checks, keep the table, write the wish, print the links."""
    client = client_of(options)
    definition = definition_of(options)
    check_metric_names((definition.study.metric, *definition.study.metrics))
    how = {"priority": options.priority, "data_in_place": options.data_in_place}
    if client is not None:
        status = client.submit(definition, register=options.register, plots=options.plots, **how)
    else:
        settings = settings_of(options)
        use_mlflow_here()
        from hpo.service.submitting import submit_study

        status = submit_study(definition, settings, **how)
    lines = (
        f"study     {status.name}: {status.state}, {status.n_trials} of {status.n_wanted} trials",
        f"trials    {status.dashboard_url}",
        f"runs      {status.mlflow_url}",
    )
    print_result(status.to_json(), "\n".join(lines), as_json=options.json)
    return 0
