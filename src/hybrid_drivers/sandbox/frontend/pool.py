"""A pool of oned's: objects by id, ids never given twice, and what happens to them later."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hybrid_drivers.sandbox.frontend.owned import OwnedObject

T = TypeVar("T", bound=OwnedObject)


class Pool(dict[int, T]):
    """The objects of a kind by id."""

    def __init__(self) -> None:
        super().__init__()
        self.next_id = 0

    def skip_to(self, first: int) -> None:
        """Give ids from ``first`` on; what is below is oned's own."""
        self.next_id = first

    def put(self, made: T) -> T:
        """Take an object in, give it its id, and return it."""
        made.id = self.next_id
        self.next_id += 1
        self[made.id] = made
        return made

    def newest_first(self) -> list[T]:
        """Return all objects in the order oned's pool calls have."""
        return [self[one] for one in sorted(self, reverse=True)]

    def holder(self, name: str, uid: int | None = None) -> int | None:
        """Return the id of the object called ``name`` (of one owner, or of anybody), None when there is none."""
        return next((one.id for one in self.values() if one.name == name and uid in (None, one.uid)), None)


class Agenda:
    """What happens by itself: drivers that finish. Nothing runs meanwhile; whoever looks calls ``catch_up`` first."""

    def __init__(self) -> None:
        self._due: list[tuple[float, Callable[[], None]]] = []

    def add(self, when: float, action: Callable[[], None]) -> None:
        """Have ``action`` done at ``when``."""
        self._due.append((when, action))

    def catch_up(self, now: float) -> None:
        """Do all that is due, in the order of its time; what that adds and is due too is done as well."""
        while ready := sorted((one for one in self._due if one[0] <= now), key=lambda one: one[0]):
            self._due.remove(ready[0])
            ready[0][1]()
