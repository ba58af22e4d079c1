"""The table of XML-RPC calls and the way every one goes: authentication, leader, arguments, the call itself.

Replies and errors are those of a real oned 7.4.0 (recorded) and of OpenNebula ``Request.cc``: ``[true, value, 0]`` or
``[false, "[method] sentence", code, object id, -1]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Union

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.knobs import Knobs, RaftState
from hybrid_drivers.sandbox.frontend.monitor import Monitor
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse
from hybrid_drivers.sandbox.frontend.vmm_exec import VmmExec

Result = Union[int, str, bool]
Reply = list[Result]

TYPE_FAULT, NO_METHOD_FAULT = -501, -506  # xmlrpc-c's codes
_KINDS: dict[str, tuple[type, str]] = {"s": (str, "string"), "i": (int, "integer"), "b": (bool, "boolean")}


class Code(IntEnum):
    """oned's error codes (``RequestManager``; contracts/oned.md)."""

    AUTHENTICATION = 256
    NO_EXISTS = 1024
    ACTION = 2048
    XML_RPC_API = 4096
    INTERNAL = 8192
    ALLOCATE = 16384


class Refused(Exception):
    """A call that oned answers with a failure; ``object_id`` is what the reply names (-1: nothing)."""

    def __init__(self, code: Code, sentence: str, object_id: int = -1) -> None:
        super().__init__(sentence)
        self.code, self.sentence, self.object_id = code, sentence, object_id


class Fault(Exception):
    """A call that the XML-RPC library itself refuses."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the calls work on."""

    store: Store
    monitor: Monitor
    knobs: Knobs
    version: str
    conf: OnedConf = field(default_factory=OnedConf.stock)
    clock: Clock = field(default_factory=SystemClock)
    vmm: VmmExec | None = None  # None: there are no network drivers

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Have ``action`` happen by itself, when the first call after ``seconds`` comes."""
        self.store.agenda.add(self.clock.monotonic() + seconds, action)


@dataclass(frozen=True)
class Method:
    """One call: the function, its arguments behind the session (``s``, ``i``, ``b``; ``|`` begins the optional ones),
    and whether only a leader may carry it out."""

    work: Callable[..., Result]
    kinds: str = ""
    writes: bool = False

    def check(self, arguments: tuple[object, ...]) -> tuple[object, ...]:
        """Return the arguments that belong to the call; more than that are passed over, as oned does.

        Raises:
            Fault: one is missing or of another type, in xmlrpc-c's words.
        """
        needed, _, optional = self.kinds.partition("|")
        if len(arguments) < len(needed):
            raise Fault(TYPE_FAULT, "Not enough parameters")
        taken = arguments[: len(needed) + len(optional)]
        for kind, value in zip(needed + optional, taken, strict=False):
            wanted, word = _KINDS[kind]
            if type(value) is not wanted:
                raise Fault(TYPE_FAULT, f"Parameter that is supposed to be {word} is not")
        return taken


class Calls:
    """Carries calls out; ``leader`` gives the calls of the server that leads, when this one follows."""

    def __init__(
        self,
        context: Context,
        methods: Mapping[str, Method],
        session: str,
        leader: Callable[[], Calls | None] = lambda: None,
    ) -> None:
        self._context, self._methods, self._session, self._leader = context, dict(methods), session, leader

    def call(self, name: str, arguments: tuple[object, ...]) -> Reply:
        """Return the whole reply of ``name``; ``arguments`` begin with the session.

        Raises:
            Fault: unknown call or arguments of a wrong type.
        """
        method = self._methods.get(name)
        if method is None:
            raise Fault(NO_METHOD_FAULT, f"Method '{name}' not defined")
        if not arguments or not isinstance(arguments[0], str):
            raise Fault(TYPE_FAULT, "Parameter that is supposed to be string is not")
        try:
            if arguments[0] != self._session:
                raise Refused(Code.AUTHENTICATION, "User couldn't be authenticated, aborting call.")
            if method.writes and (forwarded := self._away()) is not None:
                return forwarded.call(name, arguments)
            taken = method.check(arguments[1:])
            with self._context.store.lock:
                self._context.store.agenda.catch_up(self._context.clock.monotonic())
                return self._told(name, arguments, [True, method.work(self._context, *taken), 0])
        except Refused as refused:
            failed: Reply = [False, f"[{name}] {refused.sentence}", int(refused.code), refused.object_id, -1]
            return failed if refused.code is Code.AUTHENTICATION else self._told(name, arguments, failed)

    def _told(self, name: str, arguments: tuple[object, ...], reply: Reply) -> Reply:
        """Return a reply after the hooks on its call have been told (``Request::execute``)."""
        with self._context.store.lock:
            if self._context.store.hem is not None:
                self._context.store.hem.called(name, arguments, reply)
        return reply

    def _away(self) -> Calls | None:
        """Return whom a writing call goes to when this server follows (``Request::execute``), None for here."""
        state = self._context.knobs.raft_state
        if state is RaftState.FOLLOWER:
            leader = self._leader()
            if leader is None:
                raise Refused(Code.INTERNAL, "Cannot process request, no leader found")
            return leader
        if state is RaftState.CANDIDATE:
            raise Refused(Code.INTERNAL, "Cannot process request, oned cluster in election mode")
        return None


def no_such(kind: str, object_id: int) -> Refused:
    """The failure for an object that does not exist; without an id (below 0) it is the pool that cannot be had."""
    return Refused(
        Code.NO_EXISTS,
        f"Error getting {kind} [{object_id}]." if object_id != -1 else f"Error getting {kind} Pool.",
        object_id,
    )


def change_template(attributes: Attributes, text: str, how: int) -> Attributes:
    """Return the attributes after ``update(text, how)``: 0 replaces them, 1 merges into them.

    Raises:
        Refused: another ``how``, or ``text`` is no template.
    """
    if how not in (0, 1):
        raise Refused(Code.XML_RPC_API, "Wrong update type")
    try:
        told = parse(text)
    except TemplateSyntaxError as exc:
        raise Refused(Code.INTERNAL, f"Cannot update template. {exc}") from exc
    changed = Attributes(attributes.template() if how == 1 else ())
    changed.merge(told) if how == 1 else changed.add(told)
    return changed
