"""``run``: does the whole job, or with ``--dry-run`` says what it would do."""

import argparse
import atexit
import gc
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext

from hpo.commands.environment import catching_signals
from hpo.commands.inputs import definition_of, settings_of
from hpo.commands.output import print_error, print_result, say
from hpo.definition import StudyDefinition
from hpo.errors import TrackingError
from hpo.estimators.metrics import check_metric_names
from hpo.progress import PlainProgress, Progress
from hpo.settings import ServiceSettings


def run(options: argparse.Namespace) -> int:
    """Search, record, log, print the report."""
    started = time.perf_counter()
    settings = settings_of(options)
    definition = definition_of(options)
    if options.dry_run:
        return _dry_run(definition, settings, as_json=options.json)
    # Comes before tracking starts, so that a wrong name costs no more than looking it up.
    check_metric_names((definition.study.metric, *definition.study.metrics))
    # Tracking starts before the imports below, so that its own imports overlap with them.
    from hpo.tracking.process import TrackingProcess

    make_tracking = options.make_tracking or TrackingProcess
    with (
        catching_signals("ending after the fit in hand; Ctrl-C again ends at once") as stop_signal,
        make_tracking() as tracking,
    ):
        # Imports leave nothing to collect, but looking costs a tenth of their time, and half a
        # second when the process ends.
        gc.disable()
        atexit.register(gc.freeze)
        from hpo.study_run import run_study

        gc.freeze()
        gc.enable()
        with _showing(definition.study.metric, is_quiet=options.quiet) as progress:
            result = run_study(
                definition, settings, progress=progress, stop_signal=stop_signal, tracking=tracking
            )
    content = result.to_json()
    content["seconds"]["total"] = round(time.perf_counter() - started, 3)
    print_result(content, result.to_text(), as_json=options.json)
    if result.is_tracking_complete:
        return 0
    amount = "" if result.n_behind is None else f" by {result.n_behind} trials"
    problem = result.tracking_problem
    behind = f"MLflow is behind{amount} and the final model may be missing: {problem}"
    if result.model_uri is not None:
        behind = f"the final model is logged, but not all that follows is done: {problem}"
    return print_error(TrackingError(behind, hint="the same command catches up"))


def _dry_run(definition: StudyDefinition, settings: ServiceSettings, *, as_json: bool) -> int:
    from hpo.results.rendering import render
    from hpo.search.dry_run import plan_study

    plan = plan_study(definition, settings.workers)
    print_result(plan, render("plan.txt.jinja", **plan), as_json=as_json)
    return 0


def _showing(metric: str, *, is_quiet: bool) -> AbstractContextManager[Progress]:
    """Show progress on standard error: live on a terminal, elsewhere a line a minute."""
    if is_quiet:
        return nullcontext(Progress())
    if not sys.stderr.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
        return nullcontext(PlainProgress(say))
    from hpo.commands.terminal import drawing

    return drawing(metric)
