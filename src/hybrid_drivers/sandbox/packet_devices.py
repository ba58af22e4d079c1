"""The device calls of the packet API: create, list, get, update, delete, act."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from hybrid_drivers.errors import CapacityExhausted, QuotaExceeded, WrongState
from hybrid_drivers.sandbox import packet_catalogue as catalogue
from hybrid_drivers.sandbox import packet_views as views
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.http_server import Reply, Request, json_reply
from hybrid_drivers.sandbox.packet_order import PacketOrder, read_body, read_create, read_update
from hybrid_drivers.sandbox.unit import State, Unit

_PROVISIONING = (State.QUEUED, State.PROVISIONING, State.BOOTING, State.REINSTALLING)


def errors(status: int, *sentences: str) -> Reply:
    """Make the reply of a refused call."""
    return json_reply(status, {"errors": list(sentences)})


class Devices:
    """Answers the device calls of one project over a fleet; each method takes the request and the id in its path."""

    def __init__(self, fleet: Fleet[PacketOrder], project: str) -> None:
        self._fleet = fleet
        self._knobs = fleet.knobs
        self._project = project
        self._root_secret = secrets.token_urlsafe(8)

    def create(self, request: Request, _: str) -> Reply:
        """POST /projects/{id}/devices."""
        identifier = str(uuid4())
        wanted = read_create(read_body(request.body), default_hostname=identifier[:8])
        if refusal := self._no_spot(wanted.order):
            return refusal
        try:
            unit = self._place(identifier, wanted.order, wanted.facilities)
        except QuotaExceeded:
            return errors(422, f"You have reached the maximum number of devices for this project ({self._knobs.quota})")
        except CapacityExhausted:
            spot = f"facility {wanted.facilities[0]}" if wanted.facilities else f"metro {wanted.order.place}"
            return errors(503, f"The {spot} has no provisionable {wanted.order.plan} servers matching your criteria")
        view = json_reply(201, {**self._view(unit), "state": "queued", "ip_addresses": []})
        return replace(view, lost=self._knobs.strikes("lost_reply"))

    def _no_spot(self, order: PacketOrder) -> Reply | None:
        """Refuse what the spot market would not give; the sentences are ours."""
        if not order.spot:
            return None
        price = self._knobs.spot_price_of(order.plan, order.place)
        if order.max_price is not None and price is not None and order.max_price < price:
            return errors(422, f"Spot price max {order.max_price:g} is lower than the market price of {price:g}")
        living = [
            one.order
            for one in self._fleet.units()
            if one.order.spot and one.state not in (State.DELETING, State.GONE, State.FAILED)
        ]
        if self._knobs.spot_quota and len(living) >= self._knobs.spot_quota:
            return errors(422, f"You have reached the maximum number of spot devices ({self._knobs.spot_quota})")
        if self._knobs.spot_room(order.plan, order.place, [f"{one.plan}@{one.place}" for one in living]) == 0:
            return errors(503, f"The spot market has no provisionable {order.plan} servers in {order.place}")
        return None

    def _place(self, identifier: str, order: PacketOrder, facilities: Sequence[str]) -> Unit[PacketOrder]:
        for facility in facilities[:-1]:
            placed = replace(order, facility=facility, place=catalogue.FACILITIES[facility])
            if self._fleet.room(placed.plan, placed.place) != 0:
                return self._fleet.create([identifier], placed)[0]
        if facilities:
            order = replace(order, facility=facilities[-1], place=catalogue.FACILITIES[facilities[-1]])
        return self._fleet.create([identifier], order)[0]

    def list(self, request: Request, project: str) -> Reply:
        """GET /projects/{id}/devices: filtered, one page."""
        query = request.query
        found = [unit for unit in self._fleet.listed() if _wanted(unit, query)]
        return json_reply(200, views.page("devices", found, self._view, f"/projects/{project}/devices", query))

    def get(self, _: Request, identifier: str) -> Reply:
        """GET /devices/{id}."""
        return self._with_device(identifier, lambda unit: json_reply(200, self._view(unit)))

    def update(self, request: Request, identifier: str) -> Reply:
        """PATCH /devices/{id}."""
        changes = read_update(read_body(request.body))

        def update(unit: Unit[PacketOrder]) -> Reply:
            unit.order = replace(unit.order, **changes)  # type: ignore[arg-type] # read_update checked each
            return json_reply(200, self._view(unit))

        return self._with_device(identifier, update)

    def delete(self, _: Request, identifier: str) -> Reply:
        """DELETE /devices/{id}; 422 while it is provisioning or locked."""

        def delete(unit: Unit[PacketOrder]) -> Reply:
            if unit.order.locked:
                return errors(422, "Cannot delete a locked item")
            if unit.state in _PROVISIONING:
                return errors(422, "Cannot delete a device while it is provisioning")
            if unit.state is State.DELETING:
                return errors(422, "Cannot delete a device while it is deprovisioning")
            self._fleet.delete(unit)
            return Reply(status=204)

        return self._with_device(identifier, delete)

    def act(self, request: Request, identifier: str) -> Reply:
        """POST /devices/{id}/actions; 422 when the state does not allow it."""
        actions = {
            "power_on": self._fleet.power_on,
            "power_off": self._fleet.power_off,
            "reboot": self._fleet.reboot,
            "reinstall": self._fleet.reinstall,
            "rescue": self._fleet.reboot,
        }
        kind = read_body(request.body).get("type")

        def act(unit: Unit[PacketOrder]) -> Reply:
            if kind not in actions:
                return errors(422, f"Type {kind} is not a valid action")
            try:
                actions[str(kind)](unit)
            except WrongState:
                return errors(422, f"Cannot {kind} a device that is {views.WORDS[unit.state]}")
            return Reply(status=202)

        return self._with_device(identifier, act)

    def _with_device(self, identifier: str, use: Callable[[Unit[PacketOrder]], Reply]) -> Reply:
        unit = self._fleet.find(identifier)
        if unit is None or (unit.state is State.GONE and not self._knobs.gone_is_403):
            return errors(404, "Not found")
        if unit.state is State.GONE:
            return errors(403, "You are not authorized to view this device")
        return use(unit)

    def _view(self, unit: Unit[PacketOrder]) -> dict[str, object]:
        root_password = catalogue.fixed_id(self._root_secret, unit.id)[:10]
        return views.device(unit, self._project, root_password)


def _wanted(unit: Unit[PacketOrder], query: Mapping[str, str]) -> bool:
    order = unit.order
    haystack = " ".join([unit.id, order.hostname, order.description, *order.tags])
    return all(
        (
            query.get("tag") is None or query["tag"] in order.tags,
            query.get("hostname") is None or query["hostname"] == order.hostname,
            query.get("metro") is None or query["metro"] == order.place,
            query.get("facility") is None or query["facility"] == order.facility,
            query.get("search", "") in haystack,
        )
    )
