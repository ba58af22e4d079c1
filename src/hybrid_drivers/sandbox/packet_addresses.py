"""The address calls of the packet API: reserve, list, get, what is free, assign, unassign and release."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Mapping
from dataclasses import replace

from hybrid_drivers.sandbox import packet_catalogue as catalogue
from hybrid_drivers.sandbox import packet_views as views
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.http_server import Reply, Request, json_reply
from hybrid_drivers.sandbox.packet_blocks import Assignment, Blocks, Reservation
from hybrid_drivers.sandbox.packet_devices import Devices, errors
from hybrid_drivers.sandbox.packet_order import Invalid, PacketOrder, read_body
from hybrid_drivers.sandbox.unit import State

_SOLD = ("public_ipv4", "global_ipv4")
_LARGEST = 256


class Addresses:
    """Answers the address calls of one project; each method takes the request and the id in its path."""

    def __init__(self, fleet: Fleet[PacketOrder], project: str, devices: Devices) -> None:
        self._fleet, self._project, self._devices = fleet, project, devices
        self._blocks = Blocks(fleet, project)
        self._lock = threading.RLock()

    def described(self) -> list[Mapping[str, object]]:
        """Describe every block that is reserved now, for people and tests."""
        with self._lock:
            return [
                {
                    "id": one.id,
                    "kind": one.kind,
                    "network": str(one.network or ""),
                    "tags": list(one.tags),
                    "assigned": {str(part.network.network_address): part.device for part in one.assignments},
                }
                for one in self._blocks.all()
            ]

    def reserve(self, request: Request, _: str) -> Reply:
        """POST /projects/{id}/ips."""
        body = read_body(request.body)
        kind, quantity, metro, facility, tags = _read(body)
        with self._lock:
            block = self._blocks.buy(kind, quantity, metro, facility, tags)
            block.details = str(body.get("details") or "")
            if block.network is None and body.get("fail_on_approval_required"):
                self._blocks.drop(block)
                return errors(422, "The request exceeds the quota of addresses and requires approval")
            return self._lost(json_reply(201, self._blocks.view(block, whole=False)))

    def list(self, request: Request, project: str) -> Reply:
        """GET /projects/{id}/ips: filtered by types, one page."""
        kinds = request.query.get("types", "")
        with self._lock:
            found = [one for one in self._blocks.listed() if not kinds or one.kind in kinds.split(",")]
            path, query = f"/projects/{project}/ips", request.query
            whole = "assignments" in query.get("include", "")
            page = views.page("ip_addresses", found, lambda one: self._blocks.view(one, whole=whole), path, query)
            return json_reply(200, page)

    def get(self, request: Request, identifier: str) -> Reply:
        """GET /ips/{id}, a reservation's or an assignment's."""
        with self._lock:
            found = self._blocks.find(identifier)
            if found is None:
                return errors(404, "Not found")
            if isinstance(found, Assignment):
                return json_reply(200, self._blocks.given(found))
            whole = "assignments" in request.query.get("include", "")
            return json_reply(200, self._blocks.view(found, whole=whole))

    def available(self, request: Request, identifier: str) -> Reply:
        """GET /ips/{id}/available?cidr=."""
        bits = request.query.get("cidr", "")
        with self._lock:
            found = self._blocks.find(identifier)
            if not isinstance(found, Reservation):
                return errors(404, "Not found")
            most = 128 if found.kind == "public_ipv6" else 32
            if not bits.isdecimal() or int(bits) > most:
                return errors(422, "Cidr is invalid")
            free = [str(part) for part, _ in zip(found.free(int(bits)), range(1000), strict=False)]
            return json_reply(200, {"available": free})

    def delete(self, _: Request, identifier: str) -> Reply:
        """DELETE /ips/{id}: an assignment ends, a reservation without any is released."""
        with self._lock:
            found = self._blocks.find(identifier)
            if found is None:
                return errors(404, "Not found")
            if isinstance(found, Assignment):
                home = self._blocks.home(found.network)
                if home is not None:
                    home.assignments.remove(found)
            elif found.kind == "public_ipv6":
                return errors(422, "Cannot delete a management block")
            elif found.assignments:
                return errors(422, "Cannot delete a reservation with assignments")
            else:
                self._blocks.drop(found)
            return self._lost(Reply(status=204))

    def assign(self, request: Request, device: str) -> Reply:
        """POST /devices/{id}/ips."""
        unit = self._fleet.find(device)
        if unit is None or unit.state is State.GONE:
            return self._devices.get(request, device)  # says in the right way that there is none
        text = str(read_body(request.body).get("address") or "")
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise Invalid("Address is invalid") from None
        with self._lock:
            home = self._blocks.home(network)
            if home is None or (home.metro and home.metro != unit.order.place):
                return errors(422, f"Address {text} is not in a block of this project and metro")
            if any(one.network.overlaps(network) for one in home.assignments):
                return errors(422, f"Address {text} is already assigned")
            made = Assignment(network=network, device=device, created=self._fleet.now())
            home.assignments.append(made)
            return self._lost(json_reply(201, self._blocks.given(made)))

    def of_device(self, request: Request, device: str) -> Reply:
        """GET /devices/{id}/ips: its own addresses, and those assigned to it."""
        unit = self._fleet.find(device)
        if unit is None or unit.state is State.GONE:
            return self._devices.get(request, device)
        with self._lock:
            given = [self._blocks.given(one) for one in self._blocks.of_device(device)]
        return json_reply(200, {"ip_addresses": [*views.addresses(unit), *given]})

    def _lost(self, reply: Reply) -> Reply:
        return replace(reply, lost=self._fleet.knobs.strikes("lost_address_reply"))


def _read(body: Mapping[str, object]) -> tuple[str, int, str, str, tuple[str, ...]]:
    """Check a request for addresses; raises Invalid with every complaint at once."""
    problems = []
    kind, quantity, tags = body.get("type"), body.get("quantity"), body.get("tags") or []
    metro, facility = str(body.get("metro") or "").lower(), str(body.get("facility") or "")
    if kind not in _SOLD:
        problems.append(f"Type {kind} is not valid")
    if not isinstance(quantity, int) or not 1 <= quantity <= _LARGEST or quantity & (quantity - 1):
        problems.append("Quantity must be a power of two from 1 to 256")
        quantity = 1
    if not isinstance(tags, list) or not all(isinstance(one, str) for one in tags):
        problems.append("Tags is invalid")
        tags = []
    if kind == "public_ipv4" and bool(metro) == bool(facility):
        problems.append("Exactly one of facility and metro must be given")
    if (metro and metro not in catalogue.METROS) or (facility and facility not in catalogue.FACILITIES):
        problems.append(f"Metro or facility {metro or facility} is not valid")
    if problems:
        raise Invalid(*problems)
    return str(kind), quantity, metro or catalogue.FACILITIES.get(facility, ""), facility, tuple(tags)
