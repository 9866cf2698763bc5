"""``cancel``: stops a submitted study wherever it is driven."""

import argparse

from hpo.commands.inputs import client_of, settings_of
from hpo.commands.output import print_result


def cancel(options: argparse.Namespace) -> int:
    """Write that nobody wants the study any more, and say how far it was."""
    client = client_of(options)
    if client is not None:
        status = client.cancel(options.name)
    else:
        settings = settings_of(options)
        from hpo.service.submitting import cancel_study

        status = cancel_study(settings, options.name)
    text = f"{status.name}: {status.state}, {status.n_trials} of {status.n_wanted} trials"
    print_result(status.to_json(), text, as_json=options.json)
    return 0
