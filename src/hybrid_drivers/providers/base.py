"""The interface every provider has, and the small capability protocols some have besides.

A provider object belongs to one provider entry (one account and endpoint). It is thread-safe, keeps no state of
its own beyond connections and rate limits, and translates everything the wire says into ``model`` and ``errors``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Union, runtime_checkable

from hybrid_drivers.model import CreateRequest, Machine, Placement
from hybrid_drivers.model_addresses import Assignment, Block, ReserveRequest
from hybrid_drivers.secret import Secret

Setting = Union[str, int, float, bool, Secret, Sequence[object], Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long things may take at this provider; seconds. Slow is not stuck: each is several times its p99.

    ``settle``: how long a machine just made may be missing from lists; nothing is concluded from absence before.
    ``deploy``: from the create call until the provider calls it running.
    ``boot``: from running until SSH answers.
    ``delete``: from the delete call until it is gone from the lists.
    ``poll``: between two looks at the machines of an account while one of them changes.
    """

    settle: float = 60.0
    deploy: float = 3600.0
    boot: float = 1200.0
    delete: float = 1800.0
    poll: float = 10.0


@dataclass(frozen=True, kw_only=True)
class ProviderEntry:
    """One configured account: a file of ``providers.d``, a document of type 702, or inline 5.12 attributes.

    ``settings`` are the driver's own keys, lower case, already checked against its ``Field`` table; secrets are
    ``Secret``. ``defaults`` are PROVISION attributes (upper case) below those of cluster and host.
    """

    name: str
    driver: str
    settings: Mapping[str, Setting] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)  # overrides of the driver's own Limits
    source: str = ""  # "file /etc/one/...", "document 12", "host 7": for messages

    def text(self, key: str, default: str = "") -> str:
        """Return a plain setting as text."""
        value = self.settings.get(key, default)
        return value.reveal() if isinstance(value, Secret) else str(value)


@dataclass(frozen=True, kw_only=True)
class Field:
    """One key a driver understands, in its entry (lower case) or among PROVISION attributes (upper case)."""

    name: str
    required: bool = False
    secret: bool = False
    kind: str = "text"  # text | number | boolean | list | mapping | amounts (a mapping to numbers from 0)
    help: str = ""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What a machine costs an hour; ``currency`` is a code of ISO 4217."""

    amount: float
    currency: str = "USD"


@dataclass(frozen=True, kw_only=True)
class PlanSpecs:
    """A whole machine of a plan: processors as its system will count them (threads), memory in MiB as it is sold."""

    cpus: float
    memory: float


@runtime_checkable
class Provider(Protocol):
    """What every provider can do. All methods may raise any ``ProviderError``."""

    entry: ProviderEntry
    limits: Limits
    idempotent_create: bool  # True: repeating create with the same token gives the same machine
    takes_user_data: bool  # True: a new machine gets the user-data, and with it the host key to expect

    def placements(self, attributes: Mapping[str, str]) -> tuple[Placement, ...]:
        """Check the merged PROVISION attributes and list the candidates in the order to try them.

        No network. ``attributes`` has upper-case keys; PLAN and METRO (or the driver's own words) may be comma
        lists: all places of the first plan come before the second plan.

        Raises:
            ConfigError: an attribute is missing, unknown to the driver or malformed; the text names it.
        """

    def create(self, request: CreateRequest) -> Machine:
        """Ask for one machine, once; never retried by the transport.

        Raises:
            OutcomeUnknown: the request may have been carried out; look it up by tag before asking again.
            CapacityExhausted, QuotaExceeded, TokenSpent, PermanentError, TransientError: nothing was made.
        """

    def get(self, machine_id: str) -> Machine:
        """Return one machine.

        Raises:
            MachineGone: the provider says there is no such machine (any more).
        """

    def list(self, owner: str) -> Sequence[Machine]:
        """Return every machine tagged with ``owner`` that may still cost money (all pages)."""

    def delete(self, machine_id: str) -> None:
        """Ask for the machine to be given back. Already gone is success; gone for sure is what lists say later.

        Raises:
            WrongState: not now (still provisioning, locked); try again later.
        """


@runtime_checkable
class Power(Protocol):
    """Capability: switch a machine."""

    def power_on(self, machine_id: str) -> None:
        """Start a stopped machine."""

    def power_off(self, machine_id: str) -> None:
        """Stop the machine, keeping it (and its price)."""

    def reboot(self, machine_id: str) -> None:
        """Restart the machine from inside."""

    def reset(self, machine_id: str) -> None:
        """Restart the machine hard."""


@runtime_checkable
class ConsoleHostKeys(Protocol):
    """Capability: the provider publishes the SSH host keys a machine printed on its console."""

    def host_keys(self, machine_id: str) -> Sequence[str]:
        """Return lines like ``ssh-ed25519 AAAA...``; empty while not yet known."""


@runtime_checkable
class Checks(Protocol):
    """Capability: find out whether the credentials of the entry are good, without changing anything."""

    def check_access(self) -> str:
        """Ask the provider one harmless question; return a sentence for people that says what was seen.

        Raises:
            CredentialsRejected, PermanentError: the entry is wrong; the text says what to correct.
            TransientError: the provider gave no answer, so nothing is known.
        """


@runtime_checkable
class Prices(Protocol):
    """Capability: the provider tells what its machines cost."""

    def price_hour(self, plan: str, place: str) -> Price | None:
        """Return the price of one machine on demand; None when the provider does not tell. May raise ProviderError."""


@runtime_checkable
class SpotPrices(Protocol):
    """Capability: the provider tells what its machines cost now as spot machines."""

    def spot_price_hour(self, plan: str, place: str) -> Price | None:
        """Return the present price of one spot machine; None when it is not told. May raise ProviderError."""


@runtime_checkable
class Interruptions(Protocol):
    """Capability: the provider says beforehand that it takes a spot machine back."""

    def interruptions(self, owner: str) -> Mapping[str, float | None]:
        """Return the machines that are to be taken back, and when (unix seconds; None: it does not tell).

        One call whatever their number (and one for each further page). Machines that are not ours may be among them,
        or some that are gone already. May raise ProviderError.
        """


@runtime_checkable
class Plans(Protocol):
    """Capability: the provider tells how large the machines of a plan are."""

    def plan_specs(self, plan: str) -> PlanSpecs | None:
        """Return what a machine of the plan has; None when the provider does not tell. May raise ProviderError."""


@runtime_checkable
class PublicAddresses(Protocol):
    """Capability: reserve public addresses and send them to machines.

    ``translates``: True when a machine gets an address's traffic at a private address (EC2 exchanges them on the way),
    so that virtual machines have inside addresses; False when the address itself is routed to the machine.
    ``one_by_one``: True when each IPv4 reservation is a single address, and no two need be neighbours.
    """

    translates: bool
    one_by_one: bool

    def reserve(self, request: ReserveRequest) -> Block:
        """Reserve addresses, once, with their tags; never retried by the transport.

        Raises:
            OutcomeUnknown: it may have been carried out; look for the token in :meth:`blocks` before asking again.
            Unsupported: not of this family, or not in this way.
            QuotaExceeded, CapacityExhausted, PermanentError, TransientError, ConfigError: nothing was reserved.
        """

    def blocks(self, owner: str) -> Sequence[Block]:
        """Return every block tagged with ``owner``."""

    def block(self, block_id: str) -> Block:
        """Return one block.

        Raises:
            AddressGone: the provider has no such block (any more).
        """

    def release(self, block_id: str) -> None:
        """Give a block back, taking its addresses from machines first. Already gone is success."""

    def inside(self, attributes: Mapping[str, str]) -> tuple[str, Sequence[str]]:
        """Return the network that inside addresses of a range should be of, and which of it are in use.

        Both are empty where the provider has no wish; ``attributes`` are those of the range.
        """

    def assignment(self, address: str, block_id: str) -> Assignment | None:
        """Return where an address of the block goes now; None: nowhere.

        Raises:
            AddressGone: the provider has no such block (any more).
        """

    def assignments(self, block_id: str) -> Mapping[str, Assignment]:
        """Return where addresses of the block go, by address; those that go nowhere are left out.

        In a network that the provider gave to the whole account there may be addresses that are not ours.

        Raises:
            AddressGone: the provider has no such block (any more).
        """

    def assign(self, address: str, block_id: str, machine_id: str, *, private: str | None = None) -> Assignment:
        """Send an address to a machine, taking it from whichever machine has it. Repeating it changes nothing.

        ``private`` is the inside address that the machine should get it at, where the provider translates: it is used
        when it can be had in the machine's network, otherwise the provider's free ones give another; the answer tells.

        Raises:
            AddressGone: the provider has no such block (any more).
            MachineGone: there is no such machine (any more).
            QuotaExceeded: the machine takes no more addresses.
        """

    def unassign(self, address: str, block_id: str) -> None:
        """Take an address from its machine. Not assigned, or no longer ours, is success."""
