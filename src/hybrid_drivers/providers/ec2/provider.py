"""The ec2 driver: instances of one account in one region."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import ConfigError, MachineGone, TokenSpent, WrongState
from hybrid_drivers.model import CreateRequest, Machine, MachineState, Placement
from hybrid_drivers.providers import attributes as attr
from hybrid_drivers.providers import tagging
from hybrid_drivers.providers.base import Limits, PlanSpecs, Price, ProviderEntry
from hybrid_drivers.providers.connection import checked_endpoint
from hybrid_drivers.providers.ec2.addresses import Ec2Addresses
from hybrid_drivers.providers.ec2.client import Ec2Client
from hybrid_drivers.providers.ec2.fields import DRIVER
from hybrid_drivers.providers.ec2.ips import Ec2Ips
from hybrid_drivers.providers.ec2.order import optional_parameters, run_parameters
from hybrid_drivers.providers.ec2.specs import ask_specs
from hybrid_drivers.providers.ec2.spot import Ec2Spot
from hybrid_drivers.providers.ec2.states import TokenInUse
from hybrid_drivers.providers.limits import limits_of
from hybrid_drivers.providers.specs import SpecsList

LIMITS = Limits(settle=120, deploy=1800, boot=1800, delete=2400, poll=10)  # metal takes long to boot and to go
_STOP_LIMIT = 600.0  # seconds that reset waits for the stop
_KEYS_BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
_KEY = re.compile(r"\b((?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+) [A-Za-z0-9+/]{40,}={0,3})")


class Ec2Provider(Ec2Addresses):
    """Instances. Creating is idempotent by ClientToken; a token whose instance has ended is spent."""

    idempotent_create = True
    takes_user_data = True

    def __init__(self, entry: ProviderEntry, *, clock: Clock, state_dir: Path) -> None:
        del state_dir  # the API remembers everything
        self.entry = entry
        self.limits = limits_of(entry, LIMITS)
        self._clock = clock
        if entry.text("endpoint"):
            checked_endpoint(entry.text("endpoint"))
        self._client = Ec2Client(entry, clock)
        self._ips = Ec2Ips(self._client)
        self._market = Ec2Spot(self._client, clock)
        self._specs = SpecsList(lambda plan: ask_specs(self._client, plan), clock)
        self._spots = threading.RLock()  # who looks for a free address of an interface does not see what others add

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        """Pair INSTANCETYPE (or PLAN) with SUBNETID, or AVAILABILITYZONE, or the region as a whole."""
        found = self._canonical(attributes)
        optional_parameters(found)
        attr.pairs_list(found.get("TAGS", ""), "TAGS")
        region = self.entry.text("region")
        places = found.get("SUBNETID") or found.get("AVAILABILITYZONE") or region
        pairs = attr.candidates(found["INSTANCETYPE"], places)
        if not pairs:
            raise ConfigError("INSTANCETYPE and SUBNETID or AVAILABILITYZONE must each name at least one")
        return pairs

    def create(self, request: CreateRequest) -> Machine:
        """RunInstances, with tags and token.

        The token with other parameters than at first (IdempotentParameterMismatch) means that its instance exists: it
        is looked up by tag and returned; OutcomeUnknown when the lists do not show it yet.
        """
        found = self._canonical(request.attributes)
        user_data = request.user_data or found.get("USERDATA", "")
        what = f"creating {request.hostname or request.tags.name or 'an instance'}"
        try:
            return self._client.run_instance(
                run_parameters(request, found, user_data), what, user_data, request.last_look
            )
        except TokenInUse as exc:
            return self._adopted(request, exc)

    def get(self, machine_id: str) -> Machine:
        """Describe the instance.

        Right after creating, the API may not know it yet (InvalidInstanceID.NotFound): that is MachineGone too, and
        only absence after ``limits.settle`` seconds means anything. An instance that ended by itself, like one whose
        zone was sold out after all, is gone as well; the error carries why.
        """
        machine = self._client.instance(machine_id)
        if machine.state is MachineState.GONE:
            why = f" ({machine.failure})" if machine.failure else ""
            raise MachineGone(
                f"ec2 {self.entry.name}: {machine_id} is terminated{why}",
                failure=machine.failure,
                failure_is_capacity=machine.failure_is_capacity,
            )
        return machine

    def list(self, owner: str) -> Sequence[Machine]:
        """Describe the instances with this owner's tag; terminated ones, shown for an hour, are left out."""
        machines = self._client.instances(tagging.OWNER, owner)
        return [one for one in machines if one.state.exists and one.tags and one.tags.owner == owner]

    def delete(self, machine_id: str) -> None:
        """Terminate the instance; one that is terminated, or unknown, is a success."""
        try:
            self._client.act("terminate_instances", machine_id)
        except MachineGone:
            return

    def power_on(self, machine_id: str) -> None:
        """Start the instance; its public address may be another one afterwards."""
        self._client.act("start_instances", machine_id)

    def power_off(self, machine_id: str) -> None:
        """Stop the instance; its disks are still paid for."""
        self._client.act("stop_instances", machine_id)

    def reboot(self, machine_id: str) -> None:
        """Restart the instance from inside."""
        self._client.act("reboot_instances", machine_id)

    def reset(self, machine_id: str) -> None:
        """Stop and start the instance, since EC2 has no other hard restart; its public address may change.

        Raises:
            WrongState: it did not stop within ten minutes; it can be started when it has.
        """
        self._client.act("stop_instances", machine_id, Force=True)
        deadline = self._clock.monotonic() + _STOP_LIMIT
        while self.get(machine_id).state is not MachineState.STOPPED:
            if self._clock.monotonic() > deadline:
                raise WrongState(f"ec2 {self.entry.name}: {machine_id} does not stop; start it when it has")
            self._clock.sleep(self.limits.poll)
        self._client.act("start_instances", machine_id)

    def host_keys(self, machine_id: str) -> Sequence[str]:
        """Return the host keys cloud-init printed on the console at the last boot; empty while it has not."""
        blocks = _KEYS_BLOCK.findall(self._client.console(machine_id))
        return _KEY.findall(blocks[-1]) if blocks else []

    def check_access(self) -> str:
        """DescribeInstances, which every use of the entry needs, of one page that is thrown away."""
        self._client.check_access()
        return f"the credentials are accepted in region {self.entry.text('region')}"

    def spot_price_hour(self, plan: str, place: str) -> Price | None:
        """Return the price in a zone, in dollars; of the region, or a subnet, that of the dearest zone."""
        region = self.entry.text("region")
        return self._market.price(plan, place if place.startswith(region) and place != region else "")

    def interruptions(self, owner: str) -> Mapping[str, float | None]:
        """DescribeSpotInstanceRequests by their status: of all of the account and the region."""
        del owner
        return self._market.interruptions()

    def plan_specs(self, plan: str) -> PlanSpecs | None:
        """Return what DescribeInstanceTypes says."""
        return self._specs.of(plan)

    def _canonical(self, attributes: Mapping[str, str]) -> dict[str, str]:
        found = attr.canonical(attributes, DRIVER, self.entry.source)
        region = self.entry.text("region")
        if found.get("REGION_NAME", region) != region:
            raise ConfigError(f"REGION_NAME {found['REGION_NAME']} is not the region of {self.entry.source} ({region})")
        return found

    def _adopted(self, request: CreateRequest, exc: TokenInUse) -> Machine:
        machines = [one for one in self._client.instances(tagging.TOKEN, request.token) if one.tags == request.tags]
        living = [one for one in machines if one.state.exists]
        if living:
            return living[0]
        if machines:
            raise TokenSpent(
                f"ec2 {self.entry.name}: the instance of this token has ended; a new one is needed"
            ) from exc
        raise exc
