"""A simulator of the Packet / Equinix Metal API, as far as a "create device, poll, act" driver needs it.

The paths work with and without the prefix ``/metal/v1`` of the real base address.
"""

from __future__ import annotations

import re
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, SandboxError
from hybrid_drivers.sandbox import packet_catalogue as catalogue
from hybrid_drivers.sandbox import packet_views as views
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.http_server import Reply, Request, json_reply
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import Machines
from hybrid_drivers.sandbox.packet_addresses import Addresses
from hybrid_drivers.sandbox.packet_devices import Devices, errors
from hybrid_drivers.sandbox.packet_order import Invalid, PacketOrder, read_body
from hybrid_drivers.sandbox.simulator import Refusal, Simulator
from hybrid_drivers.sandbox.unit import State

TOKEN = "sandbox-token"  # opens nothing but this simulator
PROJECT = "5a4d0b0c-0000-4000-8000-000000000001"

_PREFIX = re.compile(r"^/metal/v1(?=/|$)")


@dataclass(frozen=True)
class Route:
    """One call: method, path template, and who answers it (called with the request and the id of the path)."""

    method: str
    template: str
    handler: Callable[[Request, str], Reply]

    def matches(self, method: str, path: str) -> re.Match[str] | None:
        """Match the call; group 1 is the id of a template that has one."""
        return self.pattern.fullmatch(path) if method == self.method else None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The template as an expression."""
        return re.compile(re.escape(self.template).replace(r"\{id\}", "([^/]+)"))


class PacketApi:
    """The API of one project with one token, over a fleet of devices."""

    def __init__(self, fleet: Fleet[PacketOrder], *, token: str, project: str) -> None:
        self._fleet = fleet
        self._token, self._project = token, project
        devices = Devices(fleet, project)
        self.addresses = addresses = Addresses(fleet, project, devices)
        self._routes = (
            Route("GET", "/user", self._user),
            Route("GET", "/projects", self._projects),
            Route("GET", "/projects/{id}", self._get_project),
            Route("POST", "/projects/{id}/devices", devices.create),
            Route("GET", "/projects/{id}/devices", devices.list),
            Route("GET", "/devices/{id}", devices.get),
            Route("PATCH", "/devices/{id}", devices.update),
            Route("PUT", "/devices/{id}", devices.update),
            Route("DELETE", "/devices/{id}", devices.delete),
            Route("POST", "/devices/{id}/actions", devices.act),
            Route("GET", "/devices/{id}/ips", addresses.of_device),
            Route("POST", "/devices/{id}/ips", addresses.assign),
            Route("POST", "/projects/{id}/ips", addresses.reserve),
            Route("GET", "/projects/{id}/ips", addresses.list),
            Route("GET", "/ips/{id}", addresses.get),
            Route("GET", "/ips/{id}/available", addresses.available),
            Route("DELETE", "/ips/{id}", addresses.delete),
            Route("GET", "/capacity", lambda *_: self._capacity(metros=False)),
            Route("GET", "/capacity/metros", lambda *_: self._capacity(metros=True)),
            Route("POST", "/capacity", self._check_capacity),
            Route("POST", "/capacity/metros", self._check_capacity),
            Route("GET", "/market/spot/prices", lambda *_: self._spot_prices(catalogue.FACILITIES)),
            Route("GET", "/market/spot/prices/metros", lambda *_: self._spot_prices({k: k for k in catalogue.METROS})),
            Route("GET", "/plans", _fixed("plans", [one.view for one in catalogue.PLANS.values()])),
            Route(
                "GET",
                "/operating-systems",
                _fixed("operating_systems", _each(catalogue.system_view, catalogue.SYSTEMS)),
            ),
            Route("GET", "/locations/metros", _fixed("metros", _each(catalogue.metro_view, catalogue.METROS))),
            Route("GET", "/facilities", _fixed("facilities", _each(catalogue.facility_view, catalogue.FACILITIES))),
        )

    # --- what a simulator asks of an API ---------------------------------------------------------------------------

    def interrupt(self, machine_id: str, code: str) -> None:
        """Revoke a device of the spot market: it gets a ``termination_time``."""
        del code  # the API has no words for it
        unit = self._fleet.find(machine_id)
        if unit is None or not unit.order.spot or unit.state is not State.ACTIVE:
            raise ConfigError(f"{machine_id} is no spot device that runs")
        self._fleet.interrupt(unit, self._fleet.knobs.wait("spot_notice"), "", "")

    def start(self) -> None:
        """Let time pass for the devices."""
        self._fleet.start()

    def close(self) -> None:
        """Destroy every device."""
        self._fleet.close()

    def machines(self) -> Sequence[Mapping[str, object]]:
        """Describe every device ever made."""
        return [
            {
                "id": unit.id,
                "state": "gone" if unit.state is State.GONE else views.WORDS[unit.state],
                "hostname": unit.order.hostname,
                "plan": unit.order.plan,
                "place": unit.order.place,
                "tags": list(unit.order.tags),
                "addresses": [str(one["address"]) for one in views.addresses(unit)],
                "created": unit.created,
                "deleted": unit.deleted,
                "failure": unit.failure,
            }
            for unit in self._fleet.units()
        ]

    def call_name(self, request: Request) -> str:
        """Name the call by its template, or by its method alone when there is no such call."""
        route, _ = self._route(request)
        return f"{request.method} {route.template if route else '(unknown)'}"

    def refuse(self, refusal: Refusal) -> Reply:
        """Refuse as the real API does when it is overrun or broken."""
        headers = {"Retry-After": f"{refusal.retry_after:g}"} if refusal.retry_after else {}
        if refusal.status == 429:
            headers |= {
                "X-RateLimit-Limit": f"{refusal.limit:g}",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": str(int(self._fleet.now() + refusal.reset) + 1),
            }
        sentence = {
            429: "Too many requests",
            500: "Oh snap, something went wrong! We've logged the error and will take a look.",
            503: "Service Unavailable",
        }[refusal.status]
        return json_reply(refusal.status, {"error": sentence}, headers)

    def answer(self, request: Request) -> Reply:
        """Check the token, find the call, answer it."""
        if not secrets.compare_digest(request.headers.get("x-auth-token", "").encode(), self._token.encode()):
            return json_reply(401, {"error": "Invalid authentication token"})
        route, match = self._route(request)
        if not route or not match:
            return errors(404, "Not found")
        identifier = match[1] if match.groups() else ""
        if route.template.startswith("/projects/{id}") and identifier != self._project:
            return errors(404, "Not found")
        try:
            return route.handler(request, identifier)
        except Invalid as exc:
            return errors(422, *exc.errors)
        except SandboxError as exc:
            return errors(500, str(exc))

    def _route(self, request: Request) -> tuple[Route | None, re.Match[str] | None]:
        path = re.sub("/+", "/", _PREFIX.sub("", re.sub("/+", "/", request.path))).rstrip("/")
        for route in self._routes:
            if match := route.matches(request.method, path):
                return route, match
        return None, None

    # --- the account and what it can buy ---------------------------------------------------------------------------

    def _user(self, *_: object) -> Reply:
        return json_reply(200, {"id": catalogue.fixed_id("user", "sandbox"), "full_name": "Sandbox", "href": "/user"})

    def _projects(self, request: Request, _: str) -> Reply:
        return json_reply(200, views.page("projects", [self._project_view()], dict, "/projects", request.query))

    def _get_project(self, *_: object) -> Reply:
        return json_reply(200, self._project_view())

    def _project_view(self) -> dict[str, object]:
        return {"id": self._project, "name": "sandbox", "href": f"/projects/{self._project}", "devices": []}

    def _capacity(self, *, metros: bool) -> Reply:
        return json_reply(200, views.capacity(self._fleet.room, metros=metros))

    def _spot_prices(self, places: Mapping[str, str]) -> Reply:
        told = {
            place: {
                plan: {"price": price}
                for plan in catalogue.PLANS
                if (price := self._fleet.knobs.spot_price_of(plan, metro)) is not None
            }
            for place, metro in places.items()
        }
        return json_reply(200, {"spot_market_prices": told})

    def _check_capacity(self, request: Request, _: str) -> Reply:
        servers = read_body(request.body).get("servers")
        if not isinstance(servers, list) or not all(isinstance(one, dict) for one in servers):
            raise Invalid("Servers must be a list")
        return json_reply(200, {"servers": [{**one, "available": self._fits(one)} for one in servers]})

    def _fits(self, server: Mapping[str, object]) -> bool:
        metro = str(server.get("metro") or catalogue.FACILITIES.get(str(server.get("facility")), ""))
        if metro not in catalogue.METROS or server.get("plan") not in catalogue.PLANS:
            return False
        left = self._fleet.room(str(server["plan"]), metro)
        quantity = server.get("quantity")
        return left is None or left >= (quantity if isinstance(quantity, int) else 1)


class PacketSimulator(Simulator):
    """A running packet API, and the ``token`` and ``project`` to use it with."""

    def __init__(
        self,
        machines: Machines,
        knobs: Knobs | None = None,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        token: str = TOKEN,
        project: str = PROJECT,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        knobs = knobs or Knobs()
        self.token, self.project = token, project
        api = PacketApi(Fleet(machines, knobs, clock=clock), token=token, project=project)
        super().__init__(api, knobs, host=host, port=port, tls=tls, clock=clock)
        self._addresses = api.addresses

    @property
    def blocks(self) -> Sequence[Mapping[str, object]]:
        """Every block of addresses the project has now, and where their parts go."""
        return self._addresses.described()


def _each(view: Callable[[str], dict[str, object]], names: Mapping[str, object]) -> list[dict[str, object]]:
    return [view(name) for name in names]


def _fixed(key: str, items: list[dict[str, object]]) -> Callable[[Request, str], Reply]:
    reply = json_reply(200, {key: items})
    return lambda *_: reply
