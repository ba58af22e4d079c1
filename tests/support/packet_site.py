"""The packet driver on the simulator's API within one process: no socket, no thread, a clock that is moved by hand."""

from __future__ import annotations

import json
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast
from unittest import mock

import requests
import urllib3.exceptions
from tests.support.agent_fakes import Truth, host_key
from tests.support.tasks import NEVER

from hybrid_drivers.model import MachineState
from hybrid_drivers.providers.base import Provider, ProviderEntry, Setting
from hybrid_drivers.providers.packet import states
from hybrid_drivers.providers.packet.provider import PacketProvider
from hybrid_drivers.sandbox import simulator as simulators
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.http_server import Reply, Request
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.packet_api import PROJECT, TOKEN, PacketApi
from hybrid_drivers.sandbox.packet_order import PacketOrder
from hybrid_drivers.sandbox.simulator import Simulator
from hybrid_drivers.sandbox.unit import State, Unit
from hybrid_drivers.secret import Secret

if TYPE_CHECKING:
    from tests.support.busy_world import BusyWorld

BASE = "http://packet.test/metal/v1"
STATES = {
    State.ACTIVE: MachineState.RUNNING,
    State.STOPPED: MachineState.STOPPED,
    State.STOPPING: MachineState.STOPPING,
    State.FAILED: MachineState.FAILED,
    State.DELETING: MachineState.DELETING,
    State.GONE: MachineState.GONE,
}


class AtOnce(Executor):
    """Runs what it is given on the spot: machines that do not exist take no time."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        fn(*args, **kwargs)
        return Future()


class NoServer:
    """Stands for the simulator's HTTP server."""

    def __init__(self, *_: object, **__: object) -> None:
        self.url = BASE


class Replied:
    """As much of ``requests.Response`` as the HTTP core looks at."""

    def __init__(self, reply: Reply) -> None:
        self.status_code, self._body = reply.status, reply.body
        self.headers = {"Content-Type": reply.content_type, **reply.headers}

    def iter_content(self, size: int) -> Iterator[bytes]:
        yield self._body

    def __enter__(self) -> Replied:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Do nothing."""


class Session:
    """Stands for ``requests.Session``: a request takes its way, is answered, and the answer takes its way."""

    def __init__(self, site: PacketSite) -> None:
        self._site = site

    def request(self, method: str, url: str, *, params: Mapping[str, str] | None, json: object, **_: object) -> Replied:
        request = Request(
            method=method,
            target=url,
            path=urllib.parse.urlsplit(url).path,
            query=dict(params or {}),
            headers={"x-auth-token": TOKEN},
            body=_body(json),
        )
        self._site.way()
        reply = self._site.answer(request)
        self._site.way()
        if reply.lost:
            raise requests.exceptions.ConnectionError(
                urllib3.exceptions.ProtocolError("Connection aborted.", ConnectionResetError(104, "Connection reset"))
            )
        return Replied(reply)


def _body(value: object) -> bytes:
    return b"" if value is None else json.dumps(value).encode()


class SeenFleet(Fleet[PacketOrder]):
    """The simulator's machines, with a witness of what is made and deleted."""

    def __init__(self, site: PacketSite, knobs: Knobs) -> None:
        super().__init__(NoMachines(), knobs, clock=site.world.tasks, workers=AtOnce())
        self._site = site

    def create(self, ids: Sequence[str], order: PacketOrder) -> list[Unit[PacketOrder]]:
        made = super().create(ids, order)
        for unit in made:
            self._site.host_keys[unit.addresses.public_v4] = host_key(unit.user_data)
            self._site.world.judge.made(truth(unit))
        return made

    def delete(self, unit: Unit[PacketOrder]) -> None:
        self._site.world.judge.deleting(truth(unit))
        super().delete(unit)


class PacketSite:
    """One project at packet."""

    def __init__(self, world: BusyWorld, *, settle: float, latency: float = 1.0, rate: float = 20.0) -> None:
        self.world, self.latency, self._settle, self._rate = world, latency, settle, rate
        self.host_keys: dict[str, str] = {}
        self.knobs = Knobs(seed=world.seed)
        self.fleet = SeenFleet(self, self.knobs)
        with mock.patch.object(simulators, "HttpServer", NoServer):
            api = PacketApi(self.fleet, token=TOKEN, project=PROJECT)
            self.simulator = Simulator(api, self.knobs, clock=world.tasks)
        self.answers: Counter[int] = Counter()  # by status
        self.times: list[float] = []  # of calls
        pairs = {"PROVIDER": "acme", "PLAN": "c3.small.x86,m3.small.x86", "METRO": "am", "OS": "debian_12"}
        world.store.provision(pairs)

    def way(self) -> None:
        self.world.tasks.sleep(self.latency * self.world.chance.random())

    def answer(self, request: Request) -> Reply:
        self.fleet.schedule.run_due()
        reply = self.simulator.answer(request)
        self.answers[reply.status] += 1
        self.times.append(self.world.tasks.time)
        return reply

    def door(self, agent: str) -> Provider:
        settings: dict[str, Setting] = {"endpoint": BASE, "token": Secret(TOKEN), "project": PROJECT}
        settings["rate"] = self._rate
        entry = ProviderEntry(name="acme", driver="packet", settings=settings, limits={"settle": self._settle})
        made = PacketProvider(entry, clock=self.world.tasks, state_dir=Path("/nowhere"))
        cast(Any, made)._client._api._session = Session(self)
        return made

    def truths(self) -> list[Truth]:
        return [truth(unit) for unit in self.fleet.units()]

    def next(self) -> float:
        due = self.fleet.schedule._due
        return due[0][0] if due else NEVER

    def happen(self) -> None:
        self.fleet.schedule.run_due()


def truth(unit: Unit[PacketOrder]) -> Truth:
    """Tell what a machine really is."""
    tags = states.tags_of(list(unit.order.tags))
    return Truth(
        id=unit.id,
        host_id=tags.host_id if tags else -1,
        owner=tags.owner if tags else "",
        token=tags.token if tags else "",
        born=unit.created,
        state=STATES.get(unit.state, MachineState.STARTING),
        broken=bool(unit.failure),
    )
