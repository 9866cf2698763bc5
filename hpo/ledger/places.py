"""Where a study's ledger has been: by it a copied ledger is told from one that was moved.

Every place that drove the study is kept with it. MLflow's parent run names the one that wrote last:
a ledger that has never been there is a copy, or has one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage

from hpo.ledger.identity import IDENTITY

PLACES = "hpo.places"
"""Study attribute of the system: the places, and what a study that was copied is now."""

_MOST_PLACES = 50
"""A container has another host name, and so another place, each time."""


@dataclass(frozen=True)
class Whereabouts:
    """A study's uid, and where its ledger has been under it.

    Attributes:
        uid: The study's.
        places: Digests, the present one among them.
        copied_from: The uid that it had when it was copied, or None.
    """

    uid: str
    places: tuple[str, ...]
    copied_from: str | None = None


def settle(
    storage: BaseStorage, study_id: int, place: str, *, new_uid: str | None = None
) -> Whereabouts:
    """Keep with a study where it is driven; nothing is written where it has been before.

    Args:
        storage: The ledger's.
        study_id: Its own number of the study.
        place: Stands for the ledger's database.
        new_uid: The study's from now on, unless it got one at this place; or None.
    """
    identity: Mapping[str, Any] = storage.get_study_user_attrs(study_id)[IDENTITY]
    known = storage.get_study_system_attrs(study_id).get(PLACES, {})
    uid, places = str(identity["uid"]), tuple(known.get("places", ()))
    copied_from = known.get("copied_from")
    if new_uid is not None and known.get("copied_to") != place:
        uid, places, copied_from = new_uid, (), uid
        storage.set_study_user_attr(study_id, IDENTITY, {**identity, "uid": uid})
        known = {"copied_from": copied_from, "copied_to": place}
    if place not in places:
        places = (*places, place)[-_MOST_PLACES:]
        storage.set_study_system_attr(study_id, PLACES, {**known, "places": places})
    return Whereabouts(uid, places, copied_from)
