"""The calls that every kind of owned object has: info, update, delete, rename, chmod, chown and its pool.

Facts: recorded replies, and OpenNebula ``src/rm/api/SharedAPI.cc``. A kind is a subclass that says what it is called
and adds its own calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, change_template, no_such
from hybrid_drivers.sandbox.frontend.owned import OwnedObject
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store, name_fault
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

T = TypeVar("T", bound=OwnedObject)
CALLER = 0  # the uid of the only user who calls
_MINE, _MINE_AND_GROUP, _EVERYBODY = -3, -1, -2  # OpenNebula RequestManagerPoolInfoFilter.h; others are a uid


class Family(Generic[T]):
    """A kind of object; ``named_once`` is among whom a name may stand only once: "owner", "all" or nobody ("")."""

    call: ClassVar[str]  # one.<call>.info
    word: ClassVar[str]  # what sentences call it (OpenNebula RequestLogger.cc)
    taken: ClassVar[str]  # what "NAME is already taken by" calls it
    root: ClassVar[str]  # the element
    named_once: ClassVar[str] = "owner"

    # --- what a kind says of itself ---

    def pool(self, store: Store) -> Pool[T]:
        """Return where its objects are."""
        raise NotImplementedError

    def xml(self, context: Context, one: T, decrypt: bool) -> str:
        """Return the document of an object."""
        raise NotImplementedError

    def listed(self, context: Context, one: T) -> str:
        """Return the document of an object as the pool shows it."""
        return self.xml(context, one, False)

    def updated(self, context: Context, one: T, attributes: Attributes) -> Attributes:
        """Return the attributes an update really leaves; the object's own fields follow here. Raises: Refused."""
        return attributes

    def drop(self, context: Context, one: T) -> None:
        """Forget an object. Raises: Refused."""
        del self.pool(context.store)[one.id]

    # --- calls ---

    def get(self, context: Context, object_id: int) -> T:
        """Return an object. Raises: Refused."""
        found = self.pool(context.store).get(object_id)
        if found is None:
            raise no_such(self.word, object_id)
        return found

    def info(self, context: Context, object_id: int, decrypt: bool = False) -> str:
        """one.<call>.info."""
        return self.xml(context, self.get(context, object_id), decrypt)

    def update(self, context: Context, object_id: int, text: str, how: int = 0) -> int:
        """one.<call>.update."""
        one = self.get(context, object_id)
        one.template = self.updated(context, one, change_template(one.template, text, how))
        return object_id

    def delete(self, context: Context, object_id: int, _more: bool = False) -> int:
        """one.<call>.delete."""
        self.drop(context, self.get(context, object_id))
        return object_id

    def rename(self, context: Context, object_id: int, name: str) -> int:
        """one.<call>.rename."""
        one = self.get(context, object_id)
        if one.name == name:
            return object_id
        if (taken := self._holder(context, name, one.uid)) is not None:
            sentence = f"{self.word} cannot be renamed to {name} because it collides with {self.word} {taken}"
            raise Refused(Code.ACTION, sentence)
        if fault := name_fault(name):
            raise Refused(Code.ACTION, fault)
        one.name = name
        return object_id

    def chmod(self, context: Context, object_id: int, *bits: int | bool) -> int:
        """one.<call>.chmod: nine bits, -1 leaves one as it is."""
        one = self.get(context, object_id)
        if any(bit not in (-1, 0, 1) for bit in bits[:9]):
            raise Refused(Code.INTERNAL, "New permission values must be -1, 0 or 1")
        one.permissions = [old if new == -1 else int(new) for old, new in zip(one.permissions, bits, strict=False)]
        return object_id

    def chown(self, context: Context, object_id: int, uid: int, gid: int) -> int:
        """one.<call>.chown: -1 keeps what is; names stay unique per owner."""
        users, groups = context.store.users, context.store.groups
        if uid > -1 and uid not in users:
            raise no_such("user", uid)
        if gid > -1 and gid not in groups:
            raise no_such("group", gid)
        one = self.get(context, object_id)
        if uid not in (-1, one.uid) and (owned := self.pool(context.store).holder(one.name, uid)) is not None:
            raise Refused(Code.INTERNAL, f"user [{uid}] already owns {self.word} [{owned}] with NAME {one.name}")
        if uid > -1:
            one.uid, one.uname = uid, users[uid]
        if gid > -1:
            one.gid, one.gname = gid, groups[gid]
        return object_id

    def pool_info(
        self,
        context: Context,
        whose: int = _EVERYBODY,
        first: int = -1,
        last: int = -1,
        wanted: Callable[[T], bool] = lambda _: True,
    ) -> str:
        """one.<call>pool.info: the newest first; ids from ``first`` to ``last`` (below 0: to the end)."""
        shown = [
            self.listed(context, one)
            for one in self.pool(context.store).newest_first()
            if _belongs(one, whose) and one.id >= first and (last < 0 or one.id <= last) and wanted(one)
        ]
        return f"<{self.root}_POOL>{''.join(shown)}</{self.root}_POOL>"

    def methods(self) -> dict[str, Method]:
        """Return the calls of the kind by name."""
        return {
            f"one.{self.call}.info": Method(self.info, "i|b"),
            f"one.{self.call}.update": Method(self.update, "is|i", writes=True),
            f"one.{self.call}.delete": Method(self.delete, "i|b", writes=True),
            f"one.{self.call}.rename": Method(self.rename, "is", writes=True),
            f"one.{self.call}.chmod": Method(self.chmod, "i" * 10 + "|b", writes=True),
            f"one.{self.call}.chown": Method(self.chown, "iii", writes=True),
            f"one.{self.call}pool.info": Method(self.pool_info, "iii"),
        }

    # --- for the calls that make objects ---

    def read(self, text: str) -> Attributes:
        """Return the template of an object to be made. Raises: Refused."""
        try:
            return Attributes(parse(text))
        except TemplateSyntaxError as exc:
            raise Refused(Code.INTERNAL, str(exc)) from exc

    def name_fault(self, context: Context, name: str) -> str:
        """Say why a new object cannot be called ``name``; empty when it can."""
        taken = self._holder(context, name, CALLER)
        return name_fault(name) or (f"NAME is already taken by {self.taken} {taken}." if taken is not None else "")

    def take_name(self, context: Context, attributes: Attributes) -> str:
        """Take NAME out of the template of an object to be made. Raises: Refused, in the way most kinds do."""
        name = attributes.text("NAME").rstrip()
        attributes.remove("NAME")
        if fault := self.name_fault(context, name):
            raise Refused(Code.INTERNAL, fault)
        return name

    def _holder(self, context: Context, name: str, uid: int) -> int | None:
        if not self.named_once:
            return None
        return self.pool(context.store).holder(name, uid if self.named_once == "owner" else None)


def _belongs(one: OwnedObject, whose: int) -> bool:
    if whose == _MINE_AND_GROUP:
        return CALLER in (one.uid, one.gid)
    if whose == _MINE:
        return one.uid == CALLER
    return whose in (_EVERYBODY, one.uid)
