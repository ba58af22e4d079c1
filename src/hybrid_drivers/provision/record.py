"""What we know of one provision: its template, the objects planned and made, and its history.

All of it is the PROVISION_BODY of a document of type 703, so a tool that is killed anywhere is resumed from there by
any other, on any front-end.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from hybrid_drivers.errors import ConfigError

EVENTS_KEPT = 500
FORMAT = 1


class State(enum.Enum):
    """OneProvision's states of a provision, under its names and numbers (6.x)."""

    PENDING = 0
    DEPLOYING = 1
    CONFIGURING = 2
    RUNNING = 3
    ERROR = 4
    DELETING = 5


class Stage(str, enum.Enum):
    """How far one object is. MAKING is written before oned is asked, so that what a killed tool made is found."""

    PLANNED = "planned"
    MAKING = "making"
    MADE = "made"
    SKIPPED = "skipped"  # given up on purpose


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One object of the provision. ``spec`` is its place in the template's list of that kind.

    ``index`` counts the objects of a kind, each made from the same spec having its own; it is never used again.
    """

    kind: str
    index: int
    spec: int
    name: str = ""  # oned's, known when it is made
    id: int | None = None
    uid: str = ""  # instead of an id where that is no number
    stage: Stage = Stage.PLANNED
    problem: str = ""
    made_by: str = ""  # the kind of the object that brought it: an app brings images and templates
    spec_hash: str = ""  # of what it was made from, to see later what differs
    attached: bool = False  # it was there before and is only lent: never deleted
    own: Mapping[str, str] = field(default_factory=dict)  # PROVISION keys of this host alone, over those of its spec
    after: int = -1  # ids up to this one existed before it was begun, so none of these is the object

    @property
    def exists(self) -> bool:
        """Tell whether there is such an object in oned, as far as we know."""
        return self.id is not None

    @property
    def number(self) -> int:
        """Return the id for a call of oned; -1, which no object has, while there is none."""
        return -1 if self.id is None else self.id


@dataclass(frozen=True, kw_only=True)
class Leaving:
    """A host that is deleted, whose machine is on its way back. ``uncertain``: a machine may still turn up for it."""

    host_id: int
    name: str
    provider: str  # empty: nothing was ever rented
    machine: str
    uncertain: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened: when (unix seconds), who saw to it, what."""

    time: float
    who: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was said on the command line when the provision was created, and holds when it is resumed."""

    provider: str = ""  # instead of what the template names
    skip_provision: bool = False  # no hosts
    skip_config: bool = False  # hosts are rented and not configured
    wait_ready: bool = False  # wait until images are ready
    wait_timeout: float = 60.0  # seconds, for one object


@dataclass(kw_only=True)
class Record:
    """A provision. ``template`` is the merged YAML text without inline credentials."""

    name: str
    template: str
    id: int = -1
    description: str = ""
    source: str = ""  # the file it came from, for people
    digest: str = ""  # of template and inputs as they were given
    inputs: dict[str, str] = field(default_factory=dict)
    provider: str = ""  # for people: the names of the entries, with commas
    state: State = State.PENDING
    problem: str = ""
    started: float = 0.0
    ended: float = 0.0
    wishes: Wishes = field(default_factory=Wishes)
    slots: list[Slot] = field(default_factory=list)
    issued: dict[str, int] = field(default_factory=dict)  # kind -> indexes given out, those of deleted objects included
    leaving: list[Leaving] = field(default_factory=list)  # written before the hosts are deleted
    events: list[Event] = field(default_factory=list)

    # --- objects ----------------------------------------------------------------------------------------------------

    def of_kind(self, *kinds: str) -> list[Slot]:
        """Return the slots of some kinds, in order."""
        return [slot for slot in self.slots if slot.kind in kinds]

    def put(self, slot: Slot) -> Slot:
        """Write a slot in the place of the one with its kind and index, or as a new one."""
        for at, known in enumerate(self.slots):
            if (known.kind, known.index) == (slot.kind, slot.index):
                self.slots[at] = slot
                return slot
        self.slots.append(slot)
        return slot

    def current(self, slot: Slot) -> Slot:
        """Return the slot as it is now."""
        return next(one for one in self.slots if (one.kind, one.index) == (slot.kind, slot.index))

    def drop(self, slot: Slot) -> None:
        """Forget a slot: its object is gone."""
        self.slots = [one for one in self.slots if (one.kind, one.index) != (slot.kind, slot.index)]

    def next_index(self, kind: str) -> int:
        """Return an index no object of this kind has had, and count it as given out."""
        index = self.issued.get(kind, 0)
        self.issued[kind] = index + 1
        return index

    def exists(self, *kinds: str) -> list[Slot]:
        """Return the slots of these kinds that have an object in oned."""
        return [slot for slot in self.of_kind(*kinds) if slot.exists]

    @property
    def cluster_id(self) -> int | None:
        """Return the id of its cluster, None while there is none."""
        return next((slot.id for slot in self.of_kind("clusters")), None)

    # --- history ----------------------------------------------------------------------------------------------------

    def note(self, now: float, who: str, text: str) -> None:
        """Add to the history; the oldest events go when there are too many."""
        self.events = [*self.events, Event(time=now, who=who, text=text)][-EVENTS_KEPT:]

    # --- as a document ----------------------------------------------------------------------------------------------

    def body(self) -> str:
        """Return it as the JSON of a PROVISION_BODY."""
        content = asdict(self)
        content["state"] = self.state.name
        del content["id"]
        return json.dumps({"format": FORMAT, **content}, separators=(",", ":"))

    def summary(self) -> dict[str, str]:
        """Return what a list shows, for PROVISION_SUMMARY: plain text in oned, so nothing in it is secret."""
        planned = [slot for slot in self.of_kind("hosts") if slot.stage is not Stage.SKIPPED]
        return {
            "STATE": self.state.name,
            "PROVIDER": self.provider or "-",
            "HOSTS": str(len(planned)),
            "STARTED": f"{self.started:.0f}",
        }


def read(document_id: int, name: str, body: str) -> Record:
    """Return the provision in a document's body.

    Raises:
        ConfigError: the body is not one of ours; the text names the document.
    """
    try:
        content = json.loads(body)
        if content.pop("format") != FORMAT:
            raise ValueError
        record = _record(content)
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise ConfigError(
            f"document {document_id} ({name}) is not a provision of this version: its body cannot be read"
        ) from exc
    record.id, record.name = document_id, name
    return record


def _record(content: Mapping[str, Any]) -> Record:
    known = {one: content[one] for one in Record.__dataclass_fields__ if one in content}
    known["state"] = State[content["state"]]
    known["wishes"] = _of(Wishes, content.get("wishes", {}))
    known["slots"] = [_of(Slot, one, stage=Stage(one["stage"])) for one in content["slots"]]
    known["leaving"] = [_of(Leaving, one) for one in content.get("leaving", [])]
    known["events"] = [_of(Event, one) for one in content["events"]]
    return Record(**known)


def _of(kind: Any, content: Mapping[str, Any], **changes: object) -> Any:
    """Make a dataclass of what it knows in ``content``: a later version may have written more."""
    return kind(**{**{one: content[one] for one in kind.__dataclass_fields__ if one in content}, **changes})


def made(slot: Slot, object_id: int, name: str) -> Slot:
    """Return the slot with its object."""
    return replace(slot, id=object_id, name=name, stage=Stage.MADE, problem="")


def begun(slot: Slot, object_id: int, name: str) -> Slot:
    """Return the slot with its object, which is not yet all it is to be."""
    return replace(slot, id=object_id, name=name, stage=Stage.MAKING)


def ids(slots: Iterable[Slot]) -> set[int]:
    """Return the ids of the objects that exist."""
    return {slot.id for slot in slots if slot.id is not None}
