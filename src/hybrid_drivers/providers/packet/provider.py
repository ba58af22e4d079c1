"""The packet driver: a provider that creates a device, is polled, and acts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, MachineGone, PermanentError, WrongState
from hybrid_drivers.model import CreateRequest, Machine, MachineState, Placement
from hybrid_drivers.providers import attributes as attr
from hybrid_drivers.providers.base import Limits, PlanSpecs, Price, ProviderEntry
from hybrid_drivers.providers.bucket import TokenBucket
from hybrid_drivers.providers.connection import HeaderToken
from hybrid_drivers.providers.http import HttpApi
from hybrid_drivers.providers.limits import limits_of
from hybrid_drivers.providers.packet import states
from hybrid_drivers.providers.packet.addresses import PacketAddresses
from hybrid_drivers.providers.packet.client import PacketClient
from hybrid_drivers.providers.packet.fields import DEFAULT_ENDPOINT, DRIVER
from hybrid_drivers.providers.packet.ips import PacketIps
from hybrid_drivers.providers.packet.prices import PriceList
from hybrid_drivers.providers.packet.specs import read_specs
from hybrid_drivers.providers.packet.spot import SpotMarket
from hybrid_drivers.providers.redaction import Redactor
from hybrid_drivers.providers.specs import SpecsList
from hybrid_drivers.secret import Secret

RATE, BURST = 20.0, 50.0  # calls a second and at once: under what the API was seen to allow
LIMITS = Limits(settle=60, deploy=3600, boot=1200, delete=1800, poll=10)


class PacketProvider(PacketAddresses):
    """Devices of one project. Creating is not idempotent: the API has no token, so the tag is what finds a device."""

    idempotent_create = False
    takes_user_data = True

    def __init__(self, entry: ProviderEntry, *, clock: Clock, state_dir: Path) -> None:
        del state_dir  # the API remembers everything
        self.entry = entry
        self.limits = limits_of(entry, LIMITS)
        token = Secret(entry.text("token"))
        rate, burst = float(entry.text("rate") or RATE), float(entry.text("burst") or BURST)
        api = HttpApi(
            f"packet {entry.name}",
            entry.text("endpoint") or DEFAULT_ENDPOINT,
            auth=HeaderToken("X-Auth-Token", token),
            bucket=TokenBucket(rate, burst, clock),
            clock=clock,
            redactor=Redactor([token]),
        )
        self._client = PacketClient(api, entry.text("project"))
        self._ips = PacketIps(api, entry.text("project"))
        self._prices = PriceList(self._client, clock)
        self._market = SpotMarket(self._client, clock)
        self._specs = SpecsList(lambda _: read_specs(self._client.plans()), clock)

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        """Pair PLAN with METRO, or with FACILITY."""
        found = attr.canonical(attributes, DRIVER, self.entry.source)
        if ("METRO" in found) == ("FACILITY" in found):
            raise ConfigError('PROVISION needs METRO or FACILITY, and not both: say where to rent, like METRO="am"')
        _body_extras(found)
        places = attr.candidates(found["PLAN"], found.get("METRO") or found["FACILITY"])
        if not places:
            raise ConfigError("PLAN and METRO (or FACILITY) must each name at least one")
        return places

    def create(self, request: CreateRequest) -> Machine:
        """POST the device with its tags, so that there is no moment without them."""
        found = attr.canonical(request.attributes, DRIVER, self.entry.source)
        place = request.placement.place
        user_data = request.user_data or found.get("USERDATA", "")
        body: dict[str, object] = {
            "hostname": request.hostname,
            "plan": request.placement.plan,
            "operating_system": found["OS"],
            "billing_cycle": found.get("BILLING_CYCLE", "hourly"),
            "tags": [*states.tag_list(request.tags), *attr.comma_list(found.get("TAGS", ""))],
            **({"metro": place} if "METRO" in found else {"facility": [place]}),
            **_body_extras(found),
        }
        if user_data:
            body["userdata"] = user_data
        return self._client.create_device(body, user_data, request.last_look)

    def get(self, machine_id: str) -> Machine:
        """GET the device.

        The API answers 404 and also 403 for a device that is gone, and 403 for one the token may not see; a wrong
        endpoint answers 404 to everything. So before a machine is called gone, the project's list is asked for once:
        only when that works, the token, the project and the endpoint are right, and it is the device that is missing.
        """
        try:
            machine = self._client.device(_checked(machine_id))
        except MachineGone as exc:
            self._client.check_access()
            raise MachineGone(str(exc)) from exc
        if machine.state is MachineState.GONE:
            raise MachineGone(f"packet {self.entry.name}: device {machine_id} is deleted")
        return machine

    def list(self, owner: str) -> list[Machine]:
        """List the project's devices with this owner's tag; the API's filter is not trusted to be exact."""
        return [one for one in self._client.devices(owner) if one.state.exists and one.tags and one.tags.owner == owner]

    def delete(self, machine_id: str) -> None:
        """DELETE the device; one that is gone or going already is a success, after the same check as in :meth:`get`.

        The API answers 422 both while a device is still being made and while it is being deleted.
        """
        try:
            self._client.delete_device(_checked(machine_id))
        except MachineGone:
            self._client.check_access()
        except WrongState:
            if not self._is_going(machine_id):
                raise

    def power_on(self, machine_id: str) -> None:
        """Start a stopped device."""
        self._act(machine_id, "power_on")

    def power_off(self, machine_id: str) -> None:
        """Stop the device; it is still paid for."""
        self._act(machine_id, "power_off")

    def reboot(self, machine_id: str) -> None:
        """Restart the device; the API has one kind of restart, through the machine's controller."""
        self._act(machine_id, "reboot")

    def reset(self, machine_id: str) -> None:
        """Restart the device hard; the same call as :meth:`reboot`."""
        self._act(machine_id, "reboot")

    def check_access(self) -> str:
        """GET the project, which needs a token that may see it."""
        name = self._client.project_name()
        return f"the token is accepted for project {self.entry.text('project')}" + (f" ({name})" if name else "")

    def price_hour(self, plan: str, place: str) -> Price | None:
        """Return what GET /plans says; in dollars, the only currency of this API."""
        return self._prices.price(plan, place)

    def spot_price_hour(self, plan: str, place: str) -> Price | None:
        """Return what the spot market says; in dollars."""
        return self._market.price(plan, place)

    def interruptions(self, owner: str) -> Mapping[str, float | None]:
        """Return the owner's devices that have a ``termination_time``, by GET of their list."""
        return self._client.terminations(owner)

    def plan_specs(self, plan: str) -> PlanSpecs | None:
        """Return what GET /plans says."""
        return self._specs.of(plan)

    def _is_going(self, machine_id: str) -> bool:
        try:
            return self.get(machine_id).state is MachineState.DELETING
        except MachineGone:
            return True

    def _act(self, machine_id: str, action: str) -> None:
        try:
            self._client.act(_checked(machine_id), action)
        except MachineGone as exc:
            self._client.check_access()
            raise MachineGone(str(exc)) from exc


def _checked(machine_id: str) -> str:
    if not machine_id.strip():
        raise PermanentError("an empty device id was given; name the device to act on")
    return machine_id


def _body_extras(found: Mapping[str, str]) -> dict[str, object]:
    """Return the optional parts of the body; without keys of the operator's choice, none of the project's go in."""
    extras: dict[str, object] = {}
    for key in ("PROJECT_SSH_KEYS", "USER_SSH_KEYS"):
        if key in found:
            extras[key.lower()] = attr.comma_list(found[key])
    if not extras:
        extras["no_ssh_keys"] = True
    for key in ("HARDWARE_RESERVATION_ID", "TERMINATION_TIME"):
        if key in found:
            extras[key.lower()] = found[key]
    if "SPOT_INSTANCE" in found:
        extras["spot_instance"] = attr.truth(found["SPOT_INSTANCE"], "SPOT_INSTANCE")
    if "SPOT_PRICE_MAX" in found:
        extras["spot_price_max"] = _price(found["SPOT_PRICE_MAX"])
    if "CUSTOMDATA" in found:
        extras["customdata"] = _json_object(found["CUSTOMDATA"])
    return extras


def _price(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"SPOT_PRICE_MAX must be a number of dollars an hour, not '{text[:40]}'") from None


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ConfigError('CUSTOMDATA must be a JSON object like {"rack": "a1"}')
    return value
