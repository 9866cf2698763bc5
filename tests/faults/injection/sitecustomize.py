# ruff: noqa: INP001 - a directory for PYTHONPATH, of the command under test only
"""Strikes at a named point of the command, or of a process that it starts; nothing in ``hpo`` knows
of it.

``HPO_FAULT`` is ``module:function:call|return:n:ACTION:who``: before the n-th call of the function
(or after its return) ``who``
(``self``, ``parent``, or ``group``) gets the signal ``ACTION``. The action ``CLOCK`` sets the
clocks of all these processes back by
an hour instead, from then on. ``HPO_FAULT_MARK`` is a file that is made at that moment: no other
process strikes again.
``HPO_CONSTANTS`` is a JSON object of what constants of ``hpo`` are instead, by ``module:NAME``; of
a mapping what the object has.
"""

import functools
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

CLOCK_SECONDS = 3600


def install(point: str, mark: str) -> None:
    """Strike at a point once its module is imported."""
    module, function, moment, nth, action, who = point.split(":")
    n_reached = 0

    def strike() -> None:
        nonlocal n_reached
        n_reached += 1
        if n_reached == int(nth) and _is_first(mark) and action != "CLOCK":
            _send(signal.Signals[action], who)

    when_loaded(module, lambda loaded: _wrap(loaded, function, moment, strike))


def when_loaded(module: str, change: Callable[[ModuleType], None]) -> None:
    """Change a module once it is imported; at once where it is, as in a fork."""
    if module in sys.modules:
        change(sys.modules[module])
    else:
        sys.meta_path.insert(0, _Finder(module, change))


def _is_first(mark: str) -> bool:
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _send(number: signal.Signals, who: str) -> None:
    if who == "group":
        os.killpg(os.getpgrp(), number)
    else:
        os.kill(os.getpid() if who == "self" else os.getppid(), number)


def _wrap(owner: Any, function: str, moment: str, strike: Callable[[], None]) -> None:
    *path, name = function.split(".")
    for part in path:
        owner = getattr(owner, part)
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if moment == "call":
            strike()
        result = plain(*args, **kwargs)
        if moment == "return":
            strike()
        return result

    setattr(owner, name, wrapped)
    if isinstance(owner, ModuleType):
        # Where others have imported it already, it is exchanged there, too.
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", {}).get(name) is plain:
                setattr(module, name, wrapped)


class _Finder:
    """Finds one module as the others would, and has it changed once it was executed."""

    def __init__(self, module: str, change: Callable[[ModuleType], None]) -> None:
        self._module = module
        self._change = change

    def find_spec(self, name: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        plain = spec.loader.exec_module

        def execute(module: ModuleType) -> None:
            plain(module)
            self._change(module)

        spec.loader.exec_module = execute
        return spec


def set_constant(module: ModuleType, name: str, value: Any) -> None:
    """Change a constant of a module; a mapping is added to."""
    plain = getattr(module, name)
    if isinstance(plain, dict):
        plain.update(value)
    else:
        setattr(module, name, type(plain)(value))


def follow_clock(mark: str) -> None:
    """Make the clocks of this process go back when the mark is there."""
    import ctypes  # noqa: PLC0415 - only where it is wanted
    import datetime as dt  # noqa: PLC0415
    import gc  # noqa: PLC0415
    import time  # noqa: PLC0415

    now, plain_time, plain_time_ns = dt.datetime.now, time.time, time.time_ns

    def shift() -> int:
        return CLOCK_SECONDS if os.path.exists(mark) else 0

    time.time = lambda: plain_time() - shift()
    time.time_ns = lambda: plain_time_ns() - shift() * 10**9
    # The type itself must stay: compiled packages check it. Only its method is exchanged, where
    # Python keeps it.
    (methods,) = gc.get_referents(dt.datetime.__dict__)
    methods["now"] = classmethod(lambda _, tz=None: now(tz) - dt.timedelta(seconds=shift()))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(dt.datetime))


if "HPO_FAULT" in os.environ:
    install(os.environ["HPO_FAULT"], os.environ["HPO_FAULT_MARK"])
    if ":CLOCK:" in os.environ["HPO_FAULT"]:
        follow_clock(os.environ["HPO_FAULT_MARK"])
for _path, _value in json.loads(os.environ.get("HPO_CONSTANTS", "{}")).items():
    _module, _, _name = _path.partition(":")
    when_loaded(_module, functools.partial(set_constant, name=_name, value=_value))
