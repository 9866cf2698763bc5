"""``status``: how submitted studies are, once or whenever something changes."""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from hpo.commands.environment import catching_signals
from hpo.commands.inputs import client_of, settings_of
from hpo.commands.output import align, print_json, print_text, say
from hpo.escaping import hide_password, on_one_line
from hpo.progress import format_duration

if TYPE_CHECKING:
    from hpo.service.status import StudyStatus

WATCH_SECONDS = 1.0

_HEADER = ("study", "state", "trials", "best", "time left", "driven by", "why")


def status(options: argparse.Namespace) -> int:
    """Print a line for each study, or all that is known of one."""
    read, place = _source(options)
    if not options.watch:
        _print(read(), place, options)
        return 0
    with catching_signals("no longer watching") as stop_signal:
        before: Sequence[StudyStatus] | None = None
        while stop_signal() is None:
            found = read()
            if found != before:
                before = found
                _print(found, place, options)
            if found and options.name and found[0].state in ("done", "failed", "cancelled"):
                break
            time.sleep(WATCH_SECONDS)
    return 0


def _source(
    options: argparse.Namespace,
) -> tuple[Callable[[], Sequence["StudyStatus"]], str]:
    """Give how the status is read, and of which place it is."""
    client = client_of(options)
    name = options.name
    if client is not None:
        return lambda: client.studies() if name is None else [client.status(name)], options.server
    settings = settings_of(options)
    from hpo.service.status import read_status

    return partial(read_status, settings, name), settings.storage


def _print(found: Sequence["StudyStatus"], place: str, options: argparse.Namespace) -> None:
    if options.json:
        print_json({"studies": [each.to_json() for each in found]})
    elif options.name is not None:
        print_text(_describe(found[0]))
    elif found:
        print_text(align([_HEADER, *map(_row, found)]))
    else:
        say(f"{hide_password(place)} has no submitted study (hpo submit makes one)")


def _row(status: "StudyStatus") -> tuple[str, ...]:
    left = "" if status.seconds_left is None else format_duration(status.seconds_left)
    cells = (
        status.name,
        status.state,
        f"{status.n_trials} of {status.n_wanted}{_failed(status)}",
        _best(status),
        left,
        status.running_on or "",
        status.reason or "",
    )
    return tuple(map(on_one_line, cells))


def _describe(status: "StudyStatus") -> str:
    submitted = datetime.fromtimestamp(status.submitted_at, UTC).isoformat(timespec="seconds")
    where = status.running_on and f"{status.running_on}, since {status.since}"
    low, high = (status.holdout or (None,) * 3)[1:]
    interval = "" if low is None else f" (95 %: {low:.4f} to {high:.4f})"
    facts = {
        "study": status.name,
        "state": status.state,
        "why": status.reason,
        "trials": f"{status.n_trials} of {status.n_wanted}{_failed(status)}",
        "best": _best(status) or None,
        "hold-out": None if not status.holdout else f"{status.holdout[0]:.4f}{interval}",
        "left": None if status.seconds_left is None else format_duration(status.seconds_left),
        "driver": where,
        "submitted": f"{submitted}, priority {status.priority}",
        "model": status.model_uri,
        "dashboard": status.dashboard_url,
        "MLflow": status.mlflow_url,
    }
    return "\n".join(f"{label:<9} {text}" for label, text in facts.items() if text is not None)


def _failed(status: "StudyStatus") -> str:
    return f", {status.n_failed} failed" if status.n_failed else ""


def _best(status: "StudyStatus") -> str:
    if status.best_value is None:
        return ""
    return f"{status.best_value:.4f} {status.metric or ''}".strip()
