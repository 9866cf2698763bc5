"""``check``: says what a run would meet, and runs nothing."""

import argparse

from hpo.commands.environment import use_mlflow_here
from hpo.commands.inputs import definition_of, settings_of
from hpo.commands.output import print_json, print_text
from hpo.errors import InputError


def check(options: argparse.Namespace) -> int:
    """Print the findings of the preflight."""
    use_mlflow_here()
    from hpo.commands.findings import Finding
    from hpo.commands.preflight import check_run

    try:
        findings = check_run(settings_of(options), definition_of(options).name)
    except InputError as error:
        findings = [Finding.of("settings", error)]
    if options.json:
        print_json([finding.to_json() for finding in findings])
    else:
        print_text("\n".join(finding.to_text() for finding in findings))
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)
