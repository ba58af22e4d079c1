"""An oned, a provider and nodes in memory, on a clock that only moves when told: for the agent's real code to act on.

Whatever they are asked for and do not have is an AttributeError. Every change they carry out is an *effect*: a crash
can be armed for just before or just after any of them.
"""

from __future__ import annotations

import base64
import itertools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hybrid_drivers.agent.observed import Phase
from hybrid_drivers.errors import (
    CapacityExhausted,
    MachineGone,
    NoSuchObject,
    OnedUnreachable,
    OutcomeUnknown,
    TransientError,
    WrongState,
)
from hybrid_drivers.model import (
    Address,
    Cluster,
    CreateRequest,
    Document,
    Host,
    HostState,
    Machine,
    MachineState,
    Placement,
    RaftState,
    Template,
    Value,
)
from hybrid_drivers.oned.template import render
from hybrid_drivers.providers.base import Limits, ProviderEntry

LIMITS = Limits(settle=30, deploy=600, boot=120, delete=300, poll=5)
HOST_KEY = re.compile(r"ed25519_public: ?(?:\"([^\"]+)\"|([^\n}]+))")


class Crash(BaseException):
    """The agent's process ends here; nothing of ours may catch it."""


class VirtualClock:
    """Time that moves only by :meth:`sleep`."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Fuse:
    """Counts effects; blows at the one it is set to: ``before`` it is carried out, or after."""

    left: int = 0  # 0: not armed
    before: bool = True
    meanwhile: list[Callable[[], object]] = field(default_factory=list)  # what others do before the next effect

    def around(self, effect: Callable[[], object]) -> None:
        while self.meanwhile:
            self.meanwhile.pop()()
        blows = self.left == 1
        self.left = max(0, self.left - 1)
        if blows and self.before:
            raise Crash
        effect()
        if blows:
            raise Crash


# --- oned -------------------------------------------------------------------------------------------------------------


class OnedStore:
    """oned's objects, shared by all front-ends; ``intents`` is who may create for a host, kept when it is deleted."""

    def __init__(self) -> None:
        self.hosts: dict[int, Host] = {}
        self.numbers = itertools.count()
        self.zone = Template([("ENDPOINT", "here")])
        self.intents: dict[int, Mapping[str, str]] = {}
        self.provision({})

    def provision(self, more: Mapping[str, str]) -> None:
        """Set the cluster's PROVISION: the least, and ``more``."""
        provision = {"PROVIDER": "acme", "PLAN": "small,large", "PLAYBOOK": "dummy", **more}
        self.cluster = Cluster(id=100, name="edge", host_ids=(), template=Template([("PROVISION", provision)]))

    def add(self) -> int:
        number = next(self.numbers)
        self.hosts[number] = Host(
            id=number,
            name=f"edge{number}",
            state=HostState.INIT,
            im_mad="provision",
            vm_mad="kvm",
            cluster_id=100,
            template=Template(),
        )
        return number

    def merge(self, host_id: int, template: Template) -> None:
        """Take in attributes as ``one.host.update`` with append and SYSTEM_HOST messages do."""
        host = self.hosts[host_id]
        new = dict(template)
        kept: list[tuple[str, Value]] = [(name, value) for name, value in host.template if name not in new]
        cpu = int(str(new.get("TOTALCPU", host.total_cpu)))
        self.hosts[host_id] = replace(host, template=Template([*kept, *new.items()]), total_cpu=cpu)
        if intent := template.vector("PROVISION_INTENT"):
            self.intents[host_id] = intent

    def put(self, host_id: int, state: HostState) -> None:
        self.hosts[host_id] = replace(self.hosts[host_id], state=state)

    def place(self, host_id: int, vm_ids: tuple[int, ...]) -> None:
        """Let these virtual machines, and no other, be on a host."""
        self.hosts[host_id] = replace(self.hosts[host_id], vm_ids=vm_ids, running_vms=len(vm_ids))

    def phase(self, host_id: int) -> str:
        return self.hosts[host_id].template.text("PROVISION_STATE")


class FakeOned:
    """One front-end's oned: the calls the agent makes, on a shared store."""

    def __init__(self, store: OnedStore, fuse: Fuse) -> None:
        self.store, self.fuse = store, fuse
        self.raft = RaftState.SOLO
        self.unreachable: list[bool] = []  # for each of the next changes: True: done, but no answer; False: not done

    def raft_state(self) -> RaftState:
        return self.raft

    def host(self, host_id: int, decrypt: bool = True) -> Host:
        try:
            return self.store.hosts[host_id]
        except KeyError:
            raise NoSuchObject(f"host {host_id}: there is no such host") from None

    def hosts(self) -> list[Host]:
        return list(self.store.hosts.values())

    def cluster(self, cluster_id: int) -> Cluster:
        return self.store.cluster

    def zone(self, zone_id: int) -> Template:
        return self.store.zone

    def documents(self, document_type: int) -> list[Document]:
        return []

    def update_zone(self, zone_id: int, template: Template, append: bool = True) -> None:
        self.store.zone = Template([*self.store.zone, *template])

    def update_host(self, host_id: int, template: Template, append: bool = True) -> None:
        render(template, "a host")  # what oned could not read is refused
        self.host(host_id)
        self._change(host_id, lambda: self.store.merge(host_id, template))

    def rename_host(self, host_id: int, name: str) -> None:
        renamed = replace(self.host(host_id), name=name)
        self._change(host_id, lambda: self.store.hosts.update({host_id: renamed}))

    def _change(self, host_id: int, change: Callable[[], object]) -> None:
        done = self.unreachable.pop() if self.unreachable else None
        if done is False:
            raise OnedUnreachable("oned is down")

        def effect() -> None:
            self.host(host_id)  # it may have been deleted meanwhile
            change()

        self.fuse.around(effect)
        if done:
            raise OnedUnreachable("oned went down", sent=True)


class FakeMonitord:
    """monitord's port: messages change the host at once."""

    def __init__(self, store: OnedStore) -> None:
        self.store = store

    def send(self, kind: str, host_id: int, payload: str, *, ok: bool = True) -> None:
        host = self.store.hosts.get(host_id)
        if host is None or host.state is HostState.OFFLINE:
            return
        if not ok:
            self.store.put(host_id, HostState.ERROR)
        elif kind == "SYSTEM_HOST":
            self.store.merge(host_id, _read(payload))
            self.store.put(host_id, HostState.MONITORED)

    def answered(self, host_id: int, code: int, output: bytes) -> None:
        """Take the answer of a START_MONITOR."""
        if code:
            self.send("BEACON_HOST", host_id, output.decode(), ok=False)
        elif b"<SYSTEM_HOST>" in output:
            text = base64.b64decode(output.partition(b"<SYSTEM_HOST>")[2].partition(b"<")[0]).decode()
            self.send("SYSTEM_HOST", host_id, text)


def _read(payload: str) -> Template:
    pairs = (line.partition("=") for line in payload.splitlines() if "=" in line)
    return Template([(name, value.strip('"')) for name, _, value in pairs])


# --- the provider -----------------------------------------------------------------------------------------------------


@dataclass
class Unit:
    """One machine of the fake provider. Times are the clock's."""

    machine: Machine
    token: str
    created: float
    running_at: float
    visible_at: float
    deleted: float | None = None
    gone_at: float = float("inf")
    hidden_at: float = float("inf")
    stopped: bool = False


@dataclass(frozen=True, kw_only=True)
class Truth:
    """A machine as it really is, whatever the provider's answers say."""

    id: str
    host_id: int
    owner: str
    token: str
    born: float
    state: MachineState
    broken: bool = False  # it fails, or will

    @property
    def usable(self) -> bool:
        """Tell whether somebody could work on it, now or soon."""
        return self.state in (MachineState.STARTING, MachineState.RUNNING) and not self.broken


class Witness:
    """Sees what is really made and deleted at a provider, in the moment it happens."""

    def made(self, truth: Truth) -> None:
        """See that a machine is there."""

    def deleting(self, truth: Truth) -> None:
        """See that a machine is asked to be given back."""


class FakeProvider:
    """A provider with the troubles of real ones, each a plain attribute.

    Counts (``lost_replies``) are of the next ones, parts (``lost``) of all, as the simulators' knobs have both.
    """

    takes_user_data = True

    def __init__(self, clock: VirtualClock, fuse: Fuse, store: OnedStore, *, idempotent: bool) -> None:
        self.entry = ProviderEntry(name="acme", driver="dummy")
        self.limits, self.idempotent_create = LIMITS, idempotent
        self.clock, self.fuse, self.store = clock, fuse, store
        self.units: dict[str, Unit] = {}
        self.host_keys: dict[str, str] = {}  # address -> the key its machine shows
        self.agent = ""  # who is acting
        self.while_listing: Callable[[], object] = lambda: None  # what happens while it makes its answer
        self.list_lag = self.slow_delete = 0.0
        self.deadly_replies = self.lost_replies = self.lies = self.refusals = self.doomed = 0
        self.blinks = 0  # lists that come back empty
        self.vanish = False  # doomed machines disappear instead of showing as failed
        self.sold_out: set[str] = set()
        self.stranger_deleted = False
        self.switch_failures = 0  # machines that are not switched on
        self.switched_on = 0
        self.chance = random.Random(0)
        self.lost = self.lying = self.refusing = 0.0  # parts: replies to changes, deletes, calls
        self.retry_after: float | None = None  # what refusals name
        self.stale = 0.0  # seconds: how old what a read tells may be, another age each time
        self.turn = 0.0  # seconds until a create's turn comes: the account's rate limit
        self.clock_ahead = 0.0  # seconds: of the provider's clock, which times of creation are from
        self.made_in = 20.0  # seconds until a machine runs
        self.witness = Witness()

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        return tuple(Placement(plan=plan, place="here") for plan in attributes["PLAN"].split(","))

    def checked(self, agent: str, request: CreateRequest) -> None:
        """Fail when an agent asks for a machine without its intent in oned."""
        intent = self.store.intents.get(request.tags.host_id, {})
        assert (intent.get("AGENT"), intent.get("TOKEN")) == (agent, request.token), "create without own intent"

    def create(self, request: CreateRequest, *, checked: bool = False) -> Machine:
        self._refuse()
        if not checked:
            self.checked(self.agent, request)
        if self.idempotent_create:
            known = next((one for one in self.units.values() if one.token == request.token), None)
            if known:
                return self._shown(known)
        if request.placement.plan in self.sold_out:
            raise CapacityExhausted(f"acme: {request.placement.plan} is sold out")
        unit = self.new(request)

        def effect() -> None:
            self.witness.made(self.truth(unit))
            self.units[unit.machine.id] = unit

        self.fuse.around(effect)
        if self.deadly_replies:
            self.deadly_replies -= 1
            raise Crash
        if self.lost_replies:
            self.lost_replies -= 1
            raise OutcomeUnknown("acme: no answer to the create")
        if self._strikes(self.lost):
            raise OutcomeUnknown("acme: no answer to the create")
        return self._shown(unit)

    def new(self, request: CreateRequest) -> Unit:
        number = len(self.units) + 1
        now = self.clock.now()
        machine = Machine(
            id=f"m{number}",
            state=MachineState.STARTING,
            tags=request.tags,
            plan=request.placement.plan,
            created=now + self.clock_ahead,
            addresses=(Address(address=f"192.0.2.{number % 250}", family=4, public=True),),
        )
        self.host_keys[machine.addresses[0].address] = host_key(request.user_data)
        unit = Unit(machine, request.token, now, now + self.made_in, now + self.list_lag)
        if self.doomed:
            self.doomed -= 1
            unit.machine = replace(machine, failure="it broke")
            if self.vanish:
                unit.gone_at = unit.hidden_at = now + 10
        return unit

    def get(self, machine_id: str) -> Machine:
        self._refuse()
        unit, at = self.units.get(machine_id), self._as_of()
        if unit is None or at < unit.created or self._shown(unit, at).state is MachineState.GONE:
            raise MachineGone(f"acme: there is no machine {machine_id}")
        return self._shown(unit, at)

    def list(self, owner: str) -> Sequence[Machine]:
        self._refuse()
        self.while_listing()
        at = self._as_of()
        if self.blinks:
            self.blinks -= 1
            return []
        shown = [one for one in self.units.values() if one.visible_at <= at < one.hidden_at]
        return [self._shown(one, at) for one in shown if one.machine.tags and one.machine.tags.owner == owner]

    def delete(self, machine_id: str) -> None:
        self._refuse()
        unit = self.units.get(machine_id)
        if unit is None or unit.deleted is not None:
            return
        tags = unit.machine.tags
        if tags is None or tags.owner == "stranger" or tags.host_id < 0:
            self.stranger_deleted = True
        elif (host := self.store.hosts.get(tags.host_id)) is not None:
            recorded = host.template.vector("PROVISION").get("DEPLOY_ID", "")
            assert recorded != machine_id or not host.vm_ids, "deleted under virtual machines"
        if self._shown(unit).state is MachineState.STARTING:
            raise WrongState("acme: it is being made")
        self.witness.deleting(self.truth(unit))
        if self.lies:
            self.lies -= 1
            return
        if self._strikes(self.lying):
            return
        self.fuse.around(lambda: self._end(unit))
        if self._strikes(self.lost):
            raise TransientError("acme: no answer to the delete")

    def power_on(self, machine_id: str) -> None:
        self._refuse()
        if self._shown(self.units[machine_id]).state is not MachineState.STOPPED:
            raise WrongState("acme: it is not stopped")
        if self.switch_failures:
            self.switch_failures -= 1
            raise CapacityExhausted("acme: no room to start it")
        self.switched_on += 1
        self.fuse.around(lambda: self._start(self.units[machine_id]))

    def power_off(self, machine_id: str) -> None:
        raise AssertionError("nothing of ours stops a machine")

    reboot = reset = power_off

    def _start(self, unit: Unit) -> None:
        unit.stopped, unit.running_at = False, self.clock.now() + 20

    def _end(self, unit: Unit) -> None:
        unit.deleted = self.clock.now()
        unit.gone_at = unit.deleted + self.slow_delete
        unit.hidden_at = unit.gone_at + self.list_lag

    def _refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise TransientError("acme: HTTP 503")
        if self._strikes(self.refusing):
            raise TransientError("acme: HTTP 503", self.retry_after)

    def _strikes(self, part: float) -> bool:
        return part > 0 and self.chance.random() < part

    def _as_of(self) -> float:
        """Return the time that a read tells of: replicas of the provider's are behind each other."""
        return self.clock.now() - (self.stale * self.chance.random() if self.stale else 0.0)

    def _shown(self, unit: Unit, at: float | None = None) -> Machine:
        at = self.clock.now() if at is None else at
        state = MachineState.RUNNING
        if at >= unit.gone_at:
            state = MachineState.GONE
        elif unit.deleted is not None and at >= unit.deleted:
            state = MachineState.DELETING
        elif at < unit.running_at:
            state = MachineState.STARTING
        elif unit.machine.failure:
            state = MachineState.FAILED
        elif unit.stopped:
            state = MachineState.STOPPED
        return replace(unit.machine, state=state)

    def truth(self, unit: Unit) -> Truth:
        """Tell what a machine really is."""
        tags = unit.machine.tags
        return Truth(
            id=unit.machine.id,
            host_id=tags.host_id if tags else -1,
            owner=tags.owner if tags else "",
            token=unit.token,
            born=unit.created,
            state=self._shown(unit).state,
            broken=bool(unit.machine.failure),
        )

    def truths(self) -> Sequence[Truth]:
        """Tell what all machines really are, gone ones included."""
        return [self.truth(one) for one in self.units.values()]

    def alive(self) -> Sequence[Machine]:
        """Return what still costs money."""
        machines = [self._shown(one) for one in self.units.values()]
        return [one for one in machines if one.state is not MachineState.GONE]


def host_key(user_data: str) -> str:
    """Return the host key that user-data gives a machine."""
    found = HOST_KEY.search(user_data)
    assert found, "user-data without a host key"
    return (found[1] or found[2]).strip()


READY = Phase.READY.value
