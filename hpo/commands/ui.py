"""``ui``: opens both web pages of a study."""

import argparse

from hpo.commands.environment import catching_signals, use_mlflow_here
from hpo.commands.inputs import definition_of, settings_of
from hpo.commands.output import print_text


def ui(options: argparse.Namespace) -> int:
    """Start both pages, print their links, wait for a signal."""
    settings = settings_of(options)
    use_mlflow_here()
    from hpo.commands.pages import Pages

    with catching_signals("stopping what was started") as stop_signal, Pages(stop_signal) as pages:
        links = pages.show(
            definition_of(options).name, settings, options.dashboard_port, options.mlflow_port
        )
        print_text("\n".join(f"{name:<17} {link}" for name, link in links.items()))
        pages.watch()
    return 0
