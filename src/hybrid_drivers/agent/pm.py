"""The 5.12 actions of ``remotes/pm``: a tool of its own keeps the host, we make and switch the machine.

Calling convention: OneProvision 5.12 (``oned/actions.py``). The same rules hold as for our own hosts: the intent is
in oned before anything is asked for, a machine already made for the host is taken instead of a second one, and a
cancelled machine is gone for sure when the call returns.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from hybrid_drivers.agent import userdata
from hybrid_drivers.agent.accounts import Account
from hybrid_drivers.agent.departures import Departure
from hybrid_drivers.agent.parts import Parts
from hybrid_drivers.agent.reconciler import Reconciler
from hybrid_drivers.errors import (
    CapacityExhausted,
    ConfigError,
    MachineGone,
    NoSuchObject,
    OutcomeUnknown,
    ProviderError,
    TokenSpent,
    TransientError,
    Unsupported,
)
from hybrid_drivers.model import CreateRequest, Machine, MachineState, MachineTags, Placement, Template
from hybrid_drivers.oned import actions
from hybrid_drivers.oned.process import Answer
from hybrid_drivers.providers.base import Power

# 5.12's drivers speak of VMs: a (active), d (powered off), - (unknown).
VM_STATES = {MachineState.RUNNING: "a", MachineState.STOPPED: "d"}
ATTEMPTS = 8  # placements and spent tokens tried in one call


@dataclass(frozen=True, kw_only=True)
class _Order:
    """One machine to be made for a host of a 5.12 tool."""

    account: Account
    attributes: dict[str, str]
    connection: dict[str, str]
    host_id: int
    name: str


class Machines5:
    """Answers the ``pm`` actions."""

    def __init__(self, parts: Parts, reconciler: Reconciler) -> None:
        self._parts = parts
        self._reconciler = reconciler

    def answer(self, action: actions.Action) -> Answer:
        """Carry out one action.

        Raises:
            HybridError: it could not be done.
        """
        if isinstance(action, actions.Deploy):
            return _line(self._deploy(action))
        if isinstance(action, actions.PowerOn):
            account = self._account(action)
            _power(account).power_on(action.deploy_id)
            return _line(action.deploy_id)
        if not isinstance(action, actions.OnMachine):
            raise ConfigError("this is not an action of remotes/pm")
        try:
            account = self._account_of(action)
        except MachineGone:
            if isinstance(action, actions.Cancel):
                return Answer()  # nobody has it any more, which is what was asked for
            raise
        if isinstance(action, actions.Poll):
            return _line(_polled(account.provider.get(action.deploy_id), action.driver))
        if isinstance(action, actions.Cancel):
            self._cancel(account, action)
        elif isinstance(action, actions.Shutdown):
            _power(account).power_off(action.deploy_id)
        elif isinstance(action, actions.Reboot):
            _power(account).reboot(action.deploy_id)
        else:
            _power(account).reset(action.deploy_id)
        return Answer()

    # --- making -------------------------------------------------------------------------------------------------

    def _deploy(self, action: actions.Deploy) -> str:
        template = action.file.template
        asked = {"DRIVER": action.driver, **template.vector("PROVISION")}
        account, attributes = self._parts.accounts.for_attributes(asked, f"host {action.file.name}")
        order = _Order(
            account=account,
            attributes={**account.provider.entry.defaults, **attributes},
            connection={**self._parts.settings.connection, **template.vector("PROVISION_CONNECTION")},
            host_id=-1 if action.file.host_id is None else action.file.host_id,
            name=attributes.get("HOSTNAME") or action.file.name,
        )
        placements = account.provider.placements(order.attributes)
        return (self._made_before(order) or self._make(order, placements)).id

    def _made_before(self, order: _Order) -> Machine | None:
        if order.host_id < 0:
            return None
        order.account.machines.look(self._parts.clock.now())
        machines = order.account.machines.of_host(order.host_id)
        return next((m for m in machines if m.state not in (MachineState.GONE, MachineState.DELETING)), None)

    def _make(self, order: _Order, placements: tuple[Placement, ...]) -> Machine:
        trouble: ProviderError | None = None
        for attempt in range(1, ATTEMPTS + 1):
            placement = placements[(attempt - 1) % len(placements)]
            try:
                return self._attempt(order, attempt, placement)
            except CapacityExhausted as exc:
                trouble = exc
                if attempt >= len(placements):
                    break
            except TokenSpent as exc:
                trouble = exc
        raise trouble or ProviderError("no machine could be made")

    def _attempt(self, order: _Order, attempt: int, placement: Placement) -> Machine:
        parts = self._parts
        token = secrets.token_hex(16)
        if order.host_id >= 0:  # a host that oned knows gets the same machine however often it is asked for
            seed = f"{parts.owner()}:{order.host_id}:{order.name}:{attempt}:pm"
            token = hashlib.sha256(seed.encode()).hexdigest()[:32]
        self._write_intent(order, token, attempt)
        key = parts.keys.host_key(token)
        attributes = dict(order.attributes)
        request = CreateRequest(
            token=token,
            tags=MachineTags(owner=parts.owner(), host_id=order.host_id, token=token, name=order.name),
            hostname=order.name,
            placement=placement,
            user_data=userdata.build(
                host_private=key.private_openssh,
                host_public=key.public,
                authorized=parts.keys.public_lines(order.connection),
                operators=attributes.pop("USERDATA", ""),
            ),
            attributes=attributes,
        )
        try:
            machine = order.account.provider.create(request)
        except OutcomeUnknown as exc:
            machine = self._find(order, token, exc)
        order.account.machines.remember(machine)
        return machine

    def _write_intent(self, order: _Order, token: str, attempt: int) -> None:
        if order.host_id < 0:
            return  # made outside of oned: the tag on the machine is all there is
        fields = {"TOKEN": token, "ATTEMPT": str(attempt), "SINCE": f"{self._parts.clock.now():.0f}"}
        self._parts.oned.update_host(order.host_id, Template([("PROVISION_INTENT", fields)]))

    def _find(self, order: _Order, token: str, lost: OutcomeUnknown) -> Machine:
        """Look for a machine whose create call got no answer, for as long as lists may lag."""
        limits, clock = order.account.provider.limits, self._parts.clock
        until = clock.now() + limits.settle
        while True:
            snapshot = order.account.machines.look(clock.now())
            for machine in snapshot.machines:
                if machine.tags is not None and machine.tags.token == token:
                    return machine
            if clock.now() >= until:
                raise TransientError(f"{lost}; no machine came of it: try again") from lost
            clock.sleep(min(limits.poll, max(until - clock.now(), 0.1)))

    # --- giving back --------------------------------------------------------------------------------------------

    def _cancel(self, account: Account, action: actions.OnMachine) -> None:
        try:
            machine = account.provider.get(action.deploy_id)
        except MachineGone:
            return
        name = action.host_name
        self._reconciler.release.machine(account, machine, action.host_id, name)
        departure = Departure(account=account.name, host_id=action.host_id, name=name, machine_id=machine.id, since=0.0)
        limits, clock = account.provider.limits, self._parts.clock
        until = clock.now() + limits.delete
        while self._parts.departures.get(departure.key) is not None:
            if clock.now() > until:
                raise TransientError(
                    f"machine {machine.id} is still at {account.name} after {limits.delete:.0f} s: it is deleted as "
                    "soon as the provider allows"
                )
            clock.sleep(min(limits.poll, 1.0))

    # --- whose machine ------------------------------------------------------------------------------------------

    def _account(self, action: actions.PowerOn) -> Account:
        asked = {"DRIVER": action.driver, **action.file.template.vector("PROVISION")}
        return self._parts.accounts.for_attributes(asked, f"host {action.file.name}")[0]

    def _account_of(self, action: actions.OnMachine) -> Account:
        """Return the account of the host; when oned no longer has the host, the one that has the machine."""
        try:
            host = self._parts.oned.host(action.host_id)
        except NoSuchObject:
            return self._account_with(action)
        if "PROVISION" not in host.template:
            return self._account_with(action)
        asked = {"DRIVER": action.driver, **host.template.vector("PROVISION")}
        return self._parts.accounts.for_attributes(asked, f"host {host.name}")[0]

    def _account_with(self, action: actions.OnMachine) -> Account:
        accounts = [one for one in self._parts.accounts.all() if one.provider.entry.driver == action.driver]
        if not accounts:
            raise ConfigError(f"there is no provider entry of driver {action.driver} to reach {action.deploy_id} with")
        for account in accounts:
            try:
                account.provider.get(action.deploy_id)
            except MachineGone:
                continue
            return account
        raise MachineGone(f"no provider entry of driver {action.driver} has the machine {action.deploy_id}")


def _power(account: Account) -> Power:
    if not isinstance(account.provider, Power):
        raise Unsupported(f"driver {account.provider.entry.driver} cannot switch machines on and off")
    return account.provider


def _polled(machine: Machine, driver: str) -> str:
    public = [a.address for a in machine.addresses if a.public] or [a.address for a in machine.addresses]
    words = [f"STATE={VM_STATES.get(machine.state, '-')}"]
    if public:
        words.append(f'GUEST_IP_ADDRESSES="{",".join(public)}"')
        if driver == "ec2":
            words.append(f'AWS_PUBLIC_IP_ADDRESS="{public[0]}"')
    return " ".join(words)


def _line(text: str) -> Answer:
    return Answer(stdout=f"{text}\n".encode())
