"""monitord's decisions: when monitoring is started and stopped, and what its messages do to a host.

Facts from OpenNebula ``HostMonitorManager.cc``, ``HostBase.cc``, ``MonitorDriverProtocol.cc`` and
``InformationManager.cc``.
"""

from __future__ import annotations

import base64
import binascii
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field

from hybrid_drivers.clock import Clock
from hybrid_drivers.model import HostState
from hybrid_drivers.sandbox.frontend.drivers import START, STOP, Drivers, Order
from hybrid_drivers.sandbox.frontend.knobs import Knobs
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.template import TemplateSyntaxError, parse

KINDS = ("MONITOR_VM", "BEACON_HOST", "MONITOR_HOST", "SYSTEM_HOST", "STATE_VM")  # the order within a START's answer
_ORDERED = ("MONITOR_VM", "SYSTEM_HOST", "STATE_VM", "MONITOR_HOST")  # kinds whose older messages are dropped


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of a monitoring client; ``timestamp`` (unix seconds) 0 means unknown."""

    kind: str
    ok: bool
    host_id: int
    timestamp: int
    payload: str


@dataclass
class _Watch:
    """What monitord itself remembers of a host; it is gone when monitord ends."""

    last_monitored: float
    state: HostState
    in_progress: bool = False
    newest: dict[str, int] = field(default_factory=dict)


class Monitor:
    """Holds the watches; every public method takes the store's lock.

    ``configuration(host_id)`` gives what a driver gets on its standard input, not yet encoded.
    """

    def __init__(
        self,
        *,
        store: Store,
        knobs: Knobs,
        clock: Clock,
        drivers: Drivers,
        configuration: Callable[[int], str],
        log: Callable[[str], None],
    ) -> None:
        self._store, self._knobs, self._clock, self._drivers = store, knobs, clock, drivers
        self._configuration, self._log = configuration, log
        self._watches: dict[int, _Watch] = {}

    def load_hosts(self) -> None:
        """Start from oned's list, as after a restart or as a new leader: everything counts as just monitored.

        That is why START_MONITOR comes no sooner than one interval after a restart.
        """
        with self._store.lock:
            now = self._clock.now()
            self._watches = {host.id: _Watch(now, host.state) for host in self._store.hosts.values()}

    def update_host(self, host: HostObject) -> None:
        """Take notice of a changed host. **Every** change counts as a sign of life (``HostBase::init_attributes``)."""
        with self._store.lock:
            host.previous = host.state
            watch = self._watches.get(host.id)
            if watch is None:
                self._watches[host.id] = _Watch(self._clock.now(), host.state)
                if host.state is HostState.INIT:
                    self._start(host)
                return
            old, watch.state = watch.state, host.state
            watch.last_monitored = self._clock.now()
            if old is host.state:
                return
            if host.state is HostState.OFFLINE:
                self._stop(host)
            elif old is HostState.OFFLINE and not watch.in_progress:
                self._start(host)
            watch.newest.clear()

    def delete_host(self, host: HostObject) -> None:
        """Stop monitoring a host that oned has already forgotten."""
        with self._store.lock:
            if host.id in self._watches:
                self._stop(host)
                del self._watches[host.id]

    def tick(self) -> None:
        """Ask for monitoring where nothing was heard for an interval; hosts in ERROR are asked too."""
        with self._store.lock:
            if not self._knobs.raft_state.leads:
                return
            now = self._clock.now()
            for host_id, watch in list(self._watches.items()):
                host = self._store.hosts.get(host_id)
                silence = now - watch.last_monitored
                if host is None or silence <= self._knobs.monitoring_interval:
                    continue
                if watch.in_progress:
                    if silence >= self._knobs.progress_expiry:
                        self._start(host)
                elif host.state is HostState.OFFLINE:
                    watch.last_monitored = now
                else:
                    self._start(host)

    def asking(self) -> bool:
        """Tell whether a START_MONITOR is still to be answered; until it is, ``tick`` leaves that host alone."""
        with self._store.lock:
            return any(watch.in_progress for watch in self._watches.values())

    def message(self, message: Message) -> None:
        """Do what ``message`` asks for; unknown and offline hosts are passed over."""
        with self._store.lock:
            if not self._knobs.raft_state.leads:
                return
            host = self._store.hosts.get(message.host_id)
            watch = self._watches.get(message.host_id)
            if host is None or watch is None:
                self._log(f"{message.kind}: unknown host {message.host_id}")
            elif host.state is not HostState.OFFLINE:
                self._apply(message, host, watch)

    def answered(self, host_id: int, code: int, output: str) -> None:
        """Take the answer to a START_MONITOR; the reason of a failure goes to the log only (as recorded on 7.4)."""
        with self._store.lock:
            watch, host = self._watches.get(host_id), self._store.hosts.get(host_id)
            if watch is None or host is None or host.state is HostState.OFFLINE or not self._knobs.raft_state.leads:
                return
            messages = self._inner_messages(host_id, output) if code == 0 else None
            if messages is None:
                self._log(f"Start monitor failed for host {host_id}: {output}")
                watch.in_progress = False
                self._error(host, "")
                return
            for message in messages:
                self._apply(message, host, watch)
            watch.last_monitored = self._clock.now()
            watch.in_progress = False

    def _apply(self, message: Message, host: HostObject, watch: _Watch) -> None:
        if not message.ok:
            self._log(f"{message.kind} failure for host {host.id}: {message.payload}")
            if message.kind in ("BEACON_HOST", "MONITOR_HOST", "SYSTEM_HOST"):
                self._error_monitor(host, watch, message.payload)
        elif message.kind == "BEACON_HOST":
            watch.last_monitored = self._clock.now()
        elif not self._in_order(message, watch):
            self._log(f"out of order message ignored for host {host.id}")
        elif message.kind == "SYSTEM_HOST":
            self._system_host(host, message.payload)
        elif message.kind == "MONITOR_HOST":
            self._monitor_host(host, watch, message.payload)

    def _in_order(self, message: Message, watch: _Watch) -> bool:
        """Tell whether no newer message of the kind was seen (``test_set_timestamp``); time 0 always passes."""
        if message.timestamp == 0 or message.kind not in _ORDERED:
            return True
        if watch.newest.get(message.kind, 0) > message.timestamp:
            return False
        watch.newest[message.kind] = message.timestamp
        return True

    def _system_host(self, host: HostObject, payload: str) -> None:
        try:
            told = parse(payload)
        except TemplateSyntaxError as exc:  # oned only logs it
            self._log(f"Error parsing monitoring template for host {host.id}: {exc}")
            return
        host.system_information(told)
        self.update_host(host)

    def _monitor_host(self, host: HostObject, watch: _Watch, payload: str) -> None:
        try:
            told = parse(payload)
        except TemplateSyntaxError as exc:
            self._log(f"Error parsing monitoring template for host {host.id}: {exc}")
            self._error_monitor(host, watch, "Error parsing monitor information")
            return
        host.usage(told, int(self._clock.now()))
        watch.last_monitored = self._clock.now()
        watch.in_progress = False

    def _error_monitor(self, host: HostObject, watch: _Watch, reason: str) -> None:
        watch.in_progress = False
        watch.last_monitored = self._clock.now()
        self._error(host, reason)

    def _error(self, host: HostObject, reason: str) -> None:
        if host.state is not HostState.ERROR:  # a second failure changes nothing, not even the reason
            host.fail(reason)
            self.update_host(host)

    def _inner_messages(self, host_id: int, output: str) -> list[Message] | None:
        """Read a MONITOR_MESSAGES document; an empty answer has no messages, None means it is no such document."""
        if not output.strip():
            return []
        try:
            root = ET.fromstring(output)
            stamp = int(root.findtext("TIMESTAMP") or 0)
        except (ET.ParseError, ValueError):
            return None
        return [
            Message(kind=kind, ok=True, host_id=host_id, timestamp=stamp, payload=_decode(root.findtext(kind) or ""))
            for kind in KINDS
            if root.tag == "MONITOR_MESSAGES" and root.find(kind) is not None
        ]

    def _start(self, host: HostObject) -> None:
        if self._send(START, host, lambda code, output: self.answered(host.id, code, output)):
            watch = self._watches[host.id]
            watch.in_progress, watch.last_monitored = True, self._clock.now()

    def _stop(self, host: HostObject) -> None:
        if self._send(STOP, host, lambda code, output: self._log(f"Stop monitor of host {host.id}: {code} {output}")):
            self._watches[host.id].in_progress = False

    def _send(self, action: str, host: HostObject, done: Callable[[int, str], None]) -> bool:
        if not self._knobs.raft_state.leads:
            return False
        if not self._drivers.knows(host.im_mad):
            self._log(f"{action}: Cannot find driver {host.im_mad}")
            return False
        stdin = base64.b64encode(self._configuration(host.id).encode())
        order = Order(action=action, im_mad=host.im_mad, host_id=host.id, host_name=host.name, stdin=stdin)
        self._drivers.submit(order, done)
        return True


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except binascii.Error:
        return ""
