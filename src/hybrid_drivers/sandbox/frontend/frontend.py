"""The front-end stand-in as one object: oned's calls, monitord's port, the drivers, and the tree they live in."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from hybrid_drivers.clock import Clock, SystemClock
from hybrid_drivers.sandbox.frontend import tree
from hybrid_drivers.sandbox.frontend.calls import Calls, Reply
from hybrid_drivers.sandbox.frontend.configuration import MonitordConf
from hybrid_drivers.sandbox.frontend.drivers import DriverRun
from hybrid_drivers.sandbox.frontend.knobs import Knobs
from hybrid_drivers.sandbox.frontend.monitord import Key
from hybrid_drivers.sandbox.frontend.objects import HostObject
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.parts import Parts, Setting, Sockets
from hybrid_drivers.sandbox.frontend.server import Site
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.oneflow_api import OneFlowServer

_T = TypeVar("_T")
_LONGEST_PAUSE = 0.05  # seconds between two looks of wait_for(): many that wait must not keep the processors busy
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Frontend:
    """A front-end on this machine, in its own tree. A context manager; or ``start`` and ``stop``.

    Args:
        location: becomes ONE_LOCATION; made when it is not there.
        port: of oned; ``monitord_port`` of monitord. 0 takes free ones, which stay the same over restarts.
        address: where both listen; machines in other network namespaces need more than 127.0.0.1.
        store: objects shared with another server of the same cloud; ``leader`` is whom a FOLLOWER forwards calls to.
        repository: where ``install.sh`` and ``remotes/`` are; None leaves our executables out of the tree.
        encrypt: give monitord a key pair, so that clients must encrypt.

    ``events`` are the runs of executables, in the order they ended.
    """

    def __init__(
        self,
        location: Path,
        *,
        port: int = 0,
        monitord_port: int = 0,
        address: str = "127.0.0.1",
        store: Store | None = None,
        knobs: Knobs | None = None,
        leader: Frontend | None = None,
        repository: Path | None = tree.CHECKOUT,
        encrypt: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.location, self.leader = location.absolute(), leader
        self.store, self.knobs = store or Store(), knobs or Knobs()
        self.events: list[DriverRun] = []
        self._address, self._port, self._monitord_port = address, port, monitord_port
        self._repository, self._clock = repository, clock or SystemClock()
        self._key = Key() if encrypt else None
        self._parts: Parts | None = None
        self._flow: OneFlowServer | None = None
        self._built = False

    # --- running ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the tree and begin to answer; hosts that are there already are monitored again after one interval.

        Raises:
            ConfigError: install.sh failed, or ``monitord.conf`` or ``oned.conf`` cannot be understood.
            OSError: a port is taken.
        """
        if not self._built:
            tree.build(self.location, self._repository)
            self._built = True
        conf = MonitordConf.read(self.location / "etc/monitord.conf")
        sockets = Sockets(self._address, self._port, self._monitord_port)
        self._port, self._monitord_port = sockets.server.port, sockets.listener.port
        setting = Setting(
            location=self.location,
            conf=conf,
            oned_conf=OnedConf.read(self.location / "etc/oned.conf"),
            store=self.store,
            knobs=self.knobs,
            clock=self._clock,
            key=self._key,
            address=self._address,
            environment=self.environment,
            session=self.session,
            log=self.log,
            on_run=self.events.append,
        )
        self._parts = Parts(setting, sockets, self._leading_calls, self._site)

    def stop(self) -> None:
        """End in order: nothing is accepted, running executables get SIGTERM. Objects stay, for another start."""
        self._end(terminate=True)

    def kill(self) -> None:
        """End as oned does under ``kill -9``: executables it started go on, their answers go nowhere."""
        self._end(terminate=False)

    def restart(self) -> None:
        """Stop and start on the same ports, as ``systemctl restart opennebula``."""
        self.stop()
        self.start()

    def _end(self, *, terminate: bool) -> None:
        parts, self._parts = self._parts, None
        flow, self._flow = self._flow, None
        if flow is not None:
            flow.stop()
        if parts is not None:
            parts.end(terminate=terminate)

    def __enter__(self) -> Frontend:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- for tests and people ---------------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """Return the address of oned's XML-RPC."""
        return f"http://{'127.0.0.1' if self._address in ('', '0.0.0.0') else self._address}:{self._port}/RPC2"

    @property
    def monitord_port(self) -> int:
        """Return monitord's port, UDP and TCP."""
        return self._monitord_port

    @property
    def session(self) -> str:
        """Return ``user:password`` of oneadmin."""
        return tree.session(self.location)

    @property
    def oneflow(self) -> OneFlowServer:
        """Return OneFlow, started when it is first asked for; it ends with the front-end."""
        if self._flow is None:
            self._flow = OneFlowServer(self.store, lambda: self.session)
            self._flow.start()
        return self._flow

    @property
    def oneflow_url(self) -> str:
        """Return OneFlow's address, starting it; from then on ``environment`` names it."""
        return self.oneflow.url

    @property
    def environment(self) -> dict[str, str]:
        """Return what executables and clients are run with; oned's drivers get exactly this and LANG.

        A real oned's drivers have no ONE_XMLRPC and ONE_AUTH; they stand for its fixed port and home.
        """
        return {
            "HOME": str(self.location),
            "ONE_AUTH": str(self.location / ".one/one_auth"),
            "ONE_LOCATION": str(self.location),
            "ONE_XMLRPC": self.endpoint,
            "PATH": f"{self.location}/bin:{os.environ.get('PATH', _PATH)}",
            **({"ONEFLOW_URL": self._flow.url} if self._flow else {}),
        }

    def host(self, host_id: int) -> HostObject:
        """Return a host as the store has it; ``KeyError`` when it is gone."""
        return self.store.hosts[host_id]

    def host_xml(self, host_id: int) -> str:
        """Return a host's document as ``one.host.info`` gives it; ``KeyError`` when it is gone."""
        with self.store.lock:
            return self.store.host_xml(self.store.hosts[host_id])

    def call(self, method: str, *arguments: object) -> Reply:
        """Carry a call out as oneadmin without HTTP, and return the whole reply."""
        return self._running().calls.call(method, (self.session, *arguments))

    def set_knobs(self, values: Mapping[str, object]) -> None:
        """Change knobs (see :class:`Knobs`); who becomes leader starts from oned's list of hosts.

        Raises:
            ValueError: a knob that does not exist or a value that does not fit.
        """
        led = self.knobs.raft_state.leads
        self.knobs.change(values)
        if self._parts is not None and self.knobs.raft_state.leads and not led:
            self._parts.monitor.load_hosts()

    def tick(self) -> None:
        """Let monitord look at its hosts now, instead of at the next turn of its timer."""
        self._running().monitor.tick()

    def asking(self) -> bool:
        """Tell whether monitord waits for the answer to a START_MONITOR."""
        return self._running().monitor.asking()

    def wait_for(self, predicate: Callable[[], _T], timeout: float = 30.0) -> _T:
        """Return what ``predicate`` gives as soon as it is true.

        Raises:
            TimeoutError: it was not within ``timeout`` seconds; tells what the hosts look like.
        """
        until, pause = time.monotonic() + timeout, 0.01
        while not (result := predicate()):
            if time.monotonic() > until:
                raise TimeoutError(f"not within {timeout:g} s; hosts: {self.summary()}")
            time.sleep(pause)
            pause = min(1.2 * pause, _LONGEST_PAUSE)
        return result

    def log(self, line: str) -> None:
        """Add a line to monitord's log, ``var/monitor.log``."""
        with (self.location / "var/monitor.log").open("a") as file:
            file.write(f"{time.strftime('%a %b %e %H:%M:%S %Y')} {line}\n")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _running(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("the front-end is not started")
        return self._parts

    def _leading_calls(self) -> Calls | None:
        parts = self.leader._parts if self.leader is not None else None
        return parts.calls if parts is not None else None

    def _site(self, calls: Calls) -> Site:
        pages: dict[str, Callable[[], object]] = {
            "knobs": self.knobs.as_dict,
            "events": lambda: [asdict(run) for run in list(self.events)],
            "hosts": lambda: [
                {"id": host.id, "name": host.name, "state": host.state.name} for host in list(self.store.hosts.values())
            ],
        }
        return Site(calls=calls, knobs=self.knobs, own=pages, change=self.set_knobs)

    def summary(self) -> str:
        """Say how the hosts stand, for people."""
        told = ("PROVISION_STATE", "PROVISION_STEP", "PROVISION_ERROR", "ERROR")
        with self.store.lock:
            shown = [
                " ".join([str(host.id), host.name, host.state.name, *filter(None, map(host.template.text, told))])
                for host in self.store.hosts.values()
            ]
        return "; ".join(shown[:20]) or "none"
