"""A study definition is data: whatever a file or a flag says, no name in it is imported and nothing
of it is run.

A module and a pickle lie where they would be found; each says so when it is run. What the
interpreter itself reports (PEP 578) is
watched besides: a process that is started, a pickle that looks a name up.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import InputError
from hpo.search.plan import load_data
from hpo.study_file import StudyDefinition, load_definition
from tests.property.strategies import known_keys, to_toml

CANARY = "canary_that_sings"
STARTED = frozenset(
    {
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "subprocess.Popen",
        "pickle.find_class",
        "ctypes.dlopen",
    }
)


@dataclass
class Watch:
    """What was run while it is on; an audit hook cannot be taken off again.

    Attributes:
        directory: Where the canaries are, and where one that was run leaves a file.
    """

    directory: Path
    is_on: bool = False
    seen: list[str] = field(default_factory=list)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in STARTED:
            self.seen.append(f"{event} {arguments[:1]}")

    @contextmanager
    def on(self) -> Iterator[None]:
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False

    def songs(self) -> list[str]:
        return [*self.seen, *sorted(path.name for path in self.directory.glob("sung*"))]


class _Singing:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.place,)

    def __init__(self, place: str) -> None:
        self.place = place


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        directory = Path(name)
        song = directory / "sung by the module"
        (directory / f"{CANARY}.py").write_text(
            f"from pathlib import Path\nPath({str(song)!r}).touch()\ndef run(*_): pass\n"
        )
        for ending in ("pkl", "csv", "parquet", "feather"):
            (directory / f"{CANARY}.{ending}").write_bytes(
                pickle.dumps(_Singing(str(directory / "sung by a pickle")))
            )
        patch.syspath_prepend(directory)
        patch.chdir(directory)
        # What a first load imports is not to be heard.
        load_data(StudyDefinition())
        watch = Watch(directory)
        sys.addaudithook(watch.hear)
        yield watch


payloads = st.sampled_from(
    [
        CANARY,
        f"{CANARY}:run",
        f"{CANARY}.run",
        f"python:{CANARY}.run",
        f"__import__('{CANARY}')",
        f"{{{CANARY}.run}}",
        f"!!python/object/apply:{CANARY}.run []",
        "$(touch 'sung by a shell')",
        "`touch 'sung by a shell'`",
        "os:system",
        "os.system",
        "builtins.exec",
        "sklearn.metrics.accuracy_score",
        *(f"{CANARY}.{ending}" for ending in ("py", "pkl", "csv", "parquet", "feather")),
        "iris",
    ]
)
values = (
    payloads
    | st.lists(payloads, min_size=1, max_size=2)
    | st.dictionaries(known_keys, payloads, max_size=2)
)
contents = st.dictionaries(
    st.sampled_from(sorted(StudyDefinition.model_fields)),
    st.dictionaries(known_keys, values, max_size=3),
)
# Every place that takes text, so that nothing else refuses the file before the payload is looked
# at.
text_places = st.fixed_dictionaries(
    {},
    optional={
        "study": st.fixed_dictionaries(
            {}, optional={"metric": payloads, "metrics": st.lists(payloads, max_size=2)}
        ),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "source": payloads,
                "target": payloads,
                "drop": st.lists(payloads, max_size=2),
                "group": payloads,
            },
        ),
    },
)


@given(contents | text_places)
def test_no_name_in_a_definition_is_run(watch: Watch, content: dict[str, Any]) -> None:
    path = watch.directory / "study.toml"
    path.write_bytes(to_toml(content).encode())
    with watch.on(), suppress(InputError):
        load_data(load_definition(path))
    assert watch.songs() == []


def test_canaries_sing_when_they_are_run(watch: Watch) -> None:
    """Else the test above could not fail; it comes after it, since a module is run once."""
    with watch.on():
        importlib.import_module(CANARY)
        pickle.loads((watch.directory / f"{CANARY}.pkl").read_bytes())
        subprocess.run(["true"], check=True)
    heard = {song.split()[0] for song in watch.seen}
    assert heard >= {"pickle.find_class", "subprocess.Popen"}
    assert watch.songs()[len(watch.seen) :] == ["sung by a pickle", "sung by the module"]
