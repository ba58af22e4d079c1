"""EC2's words in ours: states, reasons, addresses, tags, and the table from error code to error.

Source: the EC2 API reference (InstanceState, StateReason, "Error codes for the Amazon EC2 API").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from hybrid_drivers.errors import (
    AddressGone,
    CapacityExhausted,
    CredentialsRejected,
    MachineGone,
    OutcomeUnknown,
    PermanentError,
    ProviderError,
    QuotaExceeded,
    RateLimited,
    TokenSpent,
    TransientError,
    Unsupported,
    WrongState,
)
from hybrid_drivers.model import Address, Machine, MachineState, MachineTags
from hybrid_drivers.providers import tagging

NAME = "Name"  # the tag the console shows as the instance's name

STATES: Mapping[str, MachineState] = {
    "pending": MachineState.STARTING,
    "running": MachineState.RUNNING,
    "shutting-down": MachineState.DELETING,
    "terminated": MachineState.GONE,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.STOPPED,
}
CAPACITY_REASONS = frozenset(
    {"Server.InsufficientInstanceCapacity", "Server.InsufficientHostCapacity", "Server.SpotInstanceTermination"}
)
_ASKED_FOR = ("Client.UserInitiated", "User initiated")  # a reason that is our own call is no failure

_KEYS = "check access_key and secret_key (or profile, instance role) of the provider entry"
_RIGHTS = "give this account the right to do it"
_SOLD_OUT = "it is sold out there, the next INSTANCETYPE or AVAILABILITYZONE is tried"
_RAISE = "ask Amazon to raise the limit of the account, or delete machines"
_LATER = "it will be tried again"
_CORRECT = "correct the PROVISION attributes"


class TokenInUse(OutcomeUnknown):
    """The token was used with other parameters: a machine with it exists, or existed."""


# code -> (error, what to do); what is not here goes by its HTTP status, see ``error_class``
CODES: Mapping[str, tuple[type[ProviderError], str]] = {
    **dict.fromkeys(
        (
            "InsufficientInstanceCapacity",
            "InsufficientHostCapacity",
            "InsufficientReservedInstanceCapacity",
            "InsufficientCapacity",
            "UnfulfillableCapacity",
            "SpotMaxPriceTooLow",
            "Unsupported",  # "the requested instance type is not supported in this zone"
        ),
        (CapacityExhausted, _SOLD_OUT),
    ),
    **dict.fromkeys(
        (
            "VcpuLimitExceeded",
            "InstanceLimitExceeded",
            "MaxSpotInstanceCountExceeded",
            "AddressLimitExceeded",
            "VolumeLimitExceeded",
            "InsufficientFreeAddressesInSubnet",
            "ResourceLimitExceeded",
        ),
        (QuotaExceeded, _RAISE),
    ),
    **dict.fromkeys(
        ("RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "SlowDown"),
        (RateLimited, _LATER),
    ),
    **dict.fromkeys(
        (
            "AuthFailure",
            "InvalidClientTokenId",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
            "ExpiredToken",
            "RequestExpired",
            "MissingAuthenticationToken",
            "Blocked",
            "PendingVerification",
        ),
        (CredentialsRejected, _KEYS),
    ),
    **dict.fromkeys(("UnauthorizedOperation", "OptInRequired"), (CredentialsRejected, _RIGHTS)),
    **dict.fromkeys(("InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"), (MachineGone, "there is none")),
    **dict.fromkeys(
        (
            "InvalidAllocationID.NotFound",
            "InvalidAddress.NotFound",
            "InvalidAddressID.NotFound",
            "InvalidSubnetCidrReservationID.NotFound",
        ),
        (AddressGone, "there is none"),
    ),
    **dict.fromkeys(("IncorrectInstanceState", "IncorrectState", "InvalidIPAddress.InUse"), (WrongState, _LATER)),
    **dict.fromkeys(
        ("InternalError", "InternalFailure", "Unavailable", "ServiceUnavailable"), (TransientError, _LATER)
    ),
    "IdempotentInstanceTerminated": (TokenSpent, "a new attempt gets a new token"),
    "IdempotentParameterMismatch": (TokenInUse, "a machine with this token exists: it is looked up"),
    "OperationNotPermitted": (PermanentError, "switch off termination protection of the instance, then delete again"),
    "UnsupportedOperation": (Unsupported, "this instance cannot do that"),
    "InvalidAMIID.NotFound": (PermanentError, _CORRECT),
    "InvalidParameterValue": (PermanentError, _CORRECT),
}


def error_class(code: str, status: int) -> tuple[type[ProviderError], str]:
    """Return the error an EC2 error code means, and what to do; unknown codes go by their HTTP status."""
    if code in CODES:
        return CODES[code]
    if code.endswith("LimitExceeded"):
        return QuotaExceeded, _RAISE
    if status == 429:
        return RateLimited, _LATER
    if status in {401, 403}:
        return CredentialsRejected, _RIGHTS
    return (TransientError, _LATER) if status >= 500 else (PermanentError, _CORRECT)


def machine(instance: Mapping[str, object]) -> Machine:
    """Read an instance of DescribeInstances or RunInstances, as boto3 decodes it.

    Raises:
        ValueError: it has no id or no state.
    """
    instance_id, state = instance.get("InstanceId"), instance.get("State")
    if not isinstance(instance_id, str) or not isinstance(state, Mapping):
        raise ValueError("an instance without id or state")
    code, reason = _reason(instance)
    tags = pairs(instance.get("Tags"))
    placement, launched = instance.get("Placement"), instance.get("LaunchTime")
    return Machine(
        id=instance_id,
        state=STATES.get(str(state.get("Name")), MachineState.UNKNOWN),
        tags=tags_of(tags),
        addresses=_addresses(instance),
        hostname=tags.get(NAME, ""),
        plan=str(instance.get("InstanceType") or ""),
        place=str(placement.get("AvailabilityZone") or "") if isinstance(placement, Mapping) else "",
        created=launched.timestamp() if isinstance(launched, datetime) else None,
        failure=reason,
        failure_is_capacity=code in CAPACITY_REASONS,
    )


def tag_pairs(tags: MachineTags, more: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the tags, and the operator's own, in the form of the API."""
    own = tagging.as_pairs(tags)
    name = own.pop(tagging.NAME, "")
    return [{"Key": key, "Value": value} for key, value in {**more, **({NAME: name} if name else {}), **own}.items()]


def tags_of(found: Mapping[str, str]) -> MachineTags | None:
    """Read the tags back; None when the instance is not ours."""
    return tagging.from_pairs({**found, tagging.NAME: found.get(NAME, "")})


def pairs(tags: object) -> dict[str, str]:
    """Read tags in the form of the API."""
    rows = [one for one in tags if isinstance(one, Mapping)] if isinstance(tags, Sequence) else []
    return {str(one.get("Key")): str(one.get("Value") or "") for one in rows}


def _reason(instance: Mapping[str, object]) -> tuple[str, str]:
    """Return code and sentence of why an instance ended by itself; empty when we ended it, or nothing happened."""
    reason = instance.get("StateReason")
    code = str(reason.get("Code") or "") if isinstance(reason, Mapping) else ""
    if not isinstance(reason, Mapping) or not code or code == "pending" or code.startswith(_ASKED_FOR):
        return "", ""
    return code, f"{code}: {reason.get('Message') or 'no further words'}"


def _addresses(instance: Mapping[str, object]) -> tuple[Address, ...]:
    found = []
    if public := instance.get("PublicIpAddress"):
        found.append(Address(address=str(public), family=4, public=True))
    if private := instance.get("PrivateIpAddress"):
        found.append(Address(address=str(private), family=4, public=False))
    interfaces = instance.get("NetworkInterfaces")
    for one in interfaces if isinstance(interfaces, Sequence) else ():
        rows = one.get("Ipv6Addresses") or [] if isinstance(one, Mapping) else []
        found += [Address(address=str(row["Ipv6Address"]), family=6, public=True) for row in rows]
    return tuple(found)
