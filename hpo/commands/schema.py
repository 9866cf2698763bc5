"""``schema``: prints the JSON schema of study files, for editors."""

import argparse
import json

from hpo.commands.output import print_text


def schema(_: argparse.Namespace) -> int:
    """Print the schema."""
    from hpo.study_file import make_schema

    print_text(json.dumps(make_schema(), indent=2))
    return 0
