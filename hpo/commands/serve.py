"""``serve``: drives submitted studies until it is stopped."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from hpo.commands.environment import catching_signals, use_mlflow_here
from hpo.commands.inputs import settings_of
from hpo.commands.output import print_text, say
from hpo.errors import SettingsError
from hpo.escaping import hide_password
from hpo.settings import ServiceSettings


def serve(options: argparse.Namespace) -> int:
    """Look at the queue until a signal comes."""
    settings = settings_of(options)
    memory = None if options.memory is None else _read_size("--memory", options.memory)
    from hpo.service.logs import log_to_stderr
    from hpo.service.server import Server

    log_to_stderr()
    with (
        catching_signals("letting the studies go") as stop_signal,
        nullcontext() if options.http is None else _serving_http(settings, options),
        Server(settings, options.slots, memory, stop_signal) as server,
    ):
        slots = "1 slot" if options.slots == 1 else f"{options.slots} slots"
        say(f"serving {hide_password(settings.storage)} with {slots}")
        server.serve()
    return 0


@contextmanager
def _serving_http(settings: ServiceSettings, options: argparse.Namespace) -> Iterator[None]:
    use_mlflow_here(has_log=True)
    from hpo.service.http.server import serving_http
    from hpo.service.http.settings import HttpSettings, read_http_settings

    given = options.max_upload
    http = read_http_settings(
        options.http,
        token_file=options.token_file,
        max_upload_bytes=(
            HttpSettings.max_upload_bytes if given is None else _read_size("--max-upload", given)
        ),
        mlflow_page=options.mlflow_page,
        dashboard_page=options.dashboard_page,
    )
    with serving_http(settings, http, folder=options.data_in_place, note=say) as address:
        print_text(f"page {address}")
        yield


def _read_size(flag: str, text: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        size = ByteSize(0)
    if size <= 0:
        raise SettingsError(
            f"{flag}: this should be bytes or a text such as '4 GB', but got '{text}'"
        )
    return int(size)
