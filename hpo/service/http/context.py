"""Context: what every endpoint needs; the app carries it, and nothing else of the service."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from hpo.service.http.page import Drawer
from hpo.service.http.settings import HttpSettings
from hpo.service.http.watch import Watch
from hpo.settings import ServiceSettings


@dataclass(frozen=True)
class Context:
    """Where the service is, and what its endpoints share.

    Attributes:
        settings: Where ledger and tracking are, and the bounds.
        http: For whom HTTP is served.
        folder: Where clients may name tables that stay in place, or None.
        watch: The studies' states.
        drawer: Makes the page.
        is_known: Whether a request's headers carry the token.
        submitting: Held while a table is read: one at a time is in memory.
    """

    settings: ServiceSettings
    http: HttpSettings
    folder: Path | None
    watch: Watch
    drawer: Drawer
    submitting: asyncio.Lock = field(default_factory=asyncio.Lock)


def _of_app(request: Request) -> Context:
    context = request.app.state.context
    assert isinstance(context, Context)
    return context


InContext = Annotated[Context, Depends(_of_app)]
