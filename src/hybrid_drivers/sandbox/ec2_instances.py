"""The instance calls of the EC2 API: run, describe, terminate, start, stop, reboot, protect, tag, console."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hybrid_drivers.errors import CapacityExhausted, QuotaExceeded, WrongState
from hybrid_drivers.sandbox import ec2_select as select
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox.ec2_order import InstanceOrder, Launch, new_id, read_launch, read_tags
from hybrid_drivers.sandbox.ec2_spot import Spots
from hybrid_drivers.sandbox.ec2_views import Instance
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.unit import State

Content = Mapping[str, object]


@dataclass(frozen=True)
class Made:
    """What a client token made."""

    fingerprint: str
    units: Sequence[Instance]


class LostReply(Exception):
    """The call was carried out, and its answer is to be lost."""


class Instances:
    """Answers the instance calls of one region; each method takes the parameters and returns the reply's content."""

    def __init__(self, fleet: Fleet[InstanceOrder], region: str, spots: Spots) -> None:
        self._fleet, self._spots = fleet, spots
        self._region = region
        self._tokens: dict[str, Made] = {}
        self._token_lock = threading.Lock()

    def run(self, told: Parameters) -> Content:
        """RunInstances; raises LostReply besides Failure.

        The same token and parameters give the same instances. Other parameters, or a token whose instances are
        terminated, are errors (contract of the driver; EC2 devguide, "RunInstances idempotency").
        """
        launch = read_launch(told, self._region)
        token = launch.order.client_token
        with self._token_lock:
            made = self._tokens.get(token) if token else None
            if made:
                return self._again(made, launch)
            units = self._launch(launch)
            if token:
                self._tokens[token] = Made(launch.fingerprint, units)
        if self._fleet.knobs.strikes("lost_reply"):
            raise LostReply
        return views.reservation(units)

    def _again(self, made: Made, launch: Launch) -> Content:
        if made.fingerprint != launch.fingerprint:
            text = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            raise Failure("IdempotentParameterMismatch", text)
        if all(views.WORDS[unit.state] == "terminated" for unit in made.units):
            raise Failure("IdempotentInstanceTerminated", "The instance of this client token was terminated.")
        return views.reservation(list(made.units))

    def _launch(self, launch: Launch) -> list[Instance]:
        order = launch.order
        self._spots.check(order, launch.least)
        room = self._fleet.room(order.plan, order.place)
        count = launch.most if room is None else max(launch.least, min(launch.most, room))
        made: list[Instance] = []
        try:
            for index in range(count):
                unit_id = new_id("i")
                made += self._fleet.create([unit_id], replace(order, hostname=unit_id, launch_index=index))
        except (CapacityExhausted, QuotaExceeded) as exc:
            for unit in made:
                self._fleet.delete(unit)
            raise _no_room(exc, order) from exc
        return made

    def describe(self, told: Parameters) -> Content:
        """DescribeInstances: by id, by filters, in pages."""
        ids = told.listed("InstanceId")
        if ids and told.text("MaxResults"):
            text = "The parameter instancesSet cannot be used with the parameter maxResults"
            raise Failure("InvalidParameterCombination", text)
        units = self._find(ids) if ids else self._fleet.listed()
        found = select.filtered(units, told, select.instance_filters(told))
        some, token = select.page(found, told)
        reservations: dict[str, list[Instance]] = {}
        for unit in some:
            reservations.setdefault(unit.order.reservation, []).append(unit)
        return {"reservationSet": [views.reservation(one) for one in reservations.values()], "nextToken": token}

    def terminate(self, told: Parameters) -> Content:
        """TerminateInstances: any state but protected; again is fine."""
        units = self._named(told)
        for unit in units:
            if unit.order.protected:
                text = f"The instance '{unit.id}' may not be terminated. Modify its 'disableApiTermination' attribute."
                raise Failure("OperationNotPermitted", text)
        changes = []
        for unit in units:
            before = views.WORDS[unit.state]
            self._fleet.delete(unit)
            changes.append(views.change(unit, before, "terminated" if before == "terminated" else "shutting-down"))
        return {"instancesSet": changes}

    def start(self, told: Parameters) -> Content:
        """StartInstances: of stopped ones; running ones stay."""
        return self._switch(told, self._fleet.power_on, "pending", State.ACTIVE)

    def stop(self, told: Parameters) -> Content:
        """StopInstances: of running ones; stopped ones stay."""
        return self._switch(told, self._fleet.power_off, "stopping", State.STOPPED)

    def _switch(
        self, told: Parameters, change: Callable[[Instance], None], while_changing: str, already: State
    ) -> Content:
        changes = []
        for unit in self._named(told):
            before = views.WORDS[unit.state]
            if unit.state is already:
                changes.append(views.change(unit, before, before))
                continue
            self._try(change, unit)
            changes.append(views.change(unit, before, while_changing))
        return {"instancesSet": changes}

    def reboot(self, told: Parameters) -> Content:
        """RebootInstances: of running ones."""
        for unit in self._named(told):
            self._try(self._fleet.reboot, unit)
        return {"return": True}

    def modify(self, told: Parameters) -> Content:
        """ModifyInstanceAttribute: only DisableApiTermination."""
        (unit,) = self._find([told.required("InstanceId")])
        value = told.required("DisableApiTermination.Value")
        unit.order = replace(unit.order, protected=value.lower() == "true")
        return {"return": True}

    def create_tags(self, told: Parameters) -> Content:
        """CreateTags on instances."""
        tags = read_tags(told)
        for unit in self._find(told.listed("ResourceId")):
            unit.order = replace(unit.order, tags={**unit.order.tags, **tags})
        return {"return": True}

    def tag_rows(self) -> list[dict[str, str]]:
        """Return the rows of DescribeTags."""
        return [
            {"resourceId": unit.id, "resourceType": "instance", **tag}
            for unit in self._fleet.listed()
            for tag in views.tags(unit.order.tags)
        ]

    def console(self, told: Parameters) -> Content:
        """GetConsoleOutput: no ``output`` before the instance has booted."""
        (unit,) = self._find([told.required("InstanceId")])
        now = views.timestamp(self._fleet.now())
        return {"instanceId": unit.id, "timestamp": now, "output": views.console(unit)}

    def _try(self, change: Callable[[Instance], None], unit: Instance) -> None:
        try:
            change(unit)
        except WrongState as exc:
            word = views.WORDS[unit.state]
            text = f"The instance '{unit.id}' is not in a state from which this is possible: {word}."
            raise Failure("IncorrectInstanceState", text) from exc

    def _named(self, told: Parameters) -> list[Instance]:
        told.required("InstanceId.1")
        return self._find(told.listed("InstanceId"))

    def _find(self, ids: Sequence[str]) -> list[Instance]:
        for one in ids:
            if not one.startswith("i-") or len(one) not in (10, 19):
                raise Failure("InvalidInstanceID.Malformed", f'Invalid id: "{one}"')
        known = {unit.id: unit for unit in self._fleet.listed()}
        missing = [one for one in ids if one not in known]
        if missing:
            subject = f"ID '{missing[0]}' does" if len(missing) == 1 else f"IDs '{', '.join(missing)}' do"
            raise Failure("InvalidInstanceID.NotFound", f"The instance {subject} not exist")
        return [known[one] for one in ids]


def _no_room(exc: CapacityExhausted | QuotaExceeded, order: InstanceOrder) -> Failure:
    if isinstance(exc, QuotaExceeded):
        text = "You have requested more vCPU capacity than your current vCPU limit allows for the instance bucket."
        return Failure("VcpuLimitExceeded", text)
    text = f"We currently do not have sufficient {order.plan} capacity in the Availability Zone you requested"
    return Failure("InsufficientInstanceCapacity", f"{text} ({order.place}).")
