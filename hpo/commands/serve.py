"""``serve``: drives submitted studies until it is stopped."""

import argparse

from hpo.commands.environment import catching_signals
from hpo.commands.inputs import settings_of
from hpo.commands.output import say
from hpo.errors import SettingsError
from hpo.escaping import hide_password


def serve(options: argparse.Namespace) -> int:
    """Look at the queue until a signal comes."""
    settings = settings_of(options)
    memory = None if options.memory is None else _read_size(options.memory)
    from hpo.service.logs import log_to_stderr
    from hpo.service.server import Server

    log_to_stderr()
    with (
        catching_signals("letting the studies go") as stop_signal,
        Server(settings, options.slots, memory, stop_signal) as server,
    ):
        say(f"serving {hide_password(settings.storage)} with {options.slots} slots")
        server.serve()
    return 0


def _read_size(text: str) -> int:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        size = ByteSize(0)
    if size <= 0:
        raise SettingsError(
            f"--memory: this should be bytes or a text such as '4 GB', but got '{text}'"
        )
    return int(size)
