"""No status and no error code is unmapped, and every provider error of our tree has a way to come about."""

from __future__ import annotations

import pytest

from hybrid_drivers import errors
from hybrid_drivers.errors import ProviderError
from hybrid_drivers.providers.ec2 import states as ec2
from hybrid_drivers.providers.packet import states as packet
from hybrid_drivers.providers.statuses import LAST_RULES, Reply, error_for

TABLES = {
    "create": packet.CREATE_RULES,
    "list": packet.LIST_RULES,
    "machine": packet.MACHINE_RULES,
    "reserve": packet.RESERVE_RULES,
    "ip": packet.IP_RULES,
    "none": (),
}


def error_of(table: str, status: int, words: str = "") -> ProviderError:
    return error_for(Reply(status=status, headers={}, words=words), TABLES[table], "packet ams: asking", 0.0)


@pytest.mark.parametrize("table", TABLES)
def test_every_status_is_an_error_with_advice(table: str) -> None:
    for status in [*range(100, 200), *range(300, 600), 999]:
        error = error_of(table, status)
        assert type(error) is not ProviderError
        assert str(error).startswith(f"packet ams: asking: HTTP {status}; ")


@pytest.mark.parametrize(
    ("table", "status", "words", "expected"),
    [
        ("create", 401, "", errors.CredentialsRejected),
        ("create", 403, "You are not authorized", errors.CredentialsRejected),
        ("create", 404, "Not found", errors.PermanentError),
        ("create", 422, "Plan x is not valid", errors.PermanentError),
        ("create", 422, "Hostname exceeds the longest allowed", errors.PermanentError),
        ("create", 422, "You have reached the maximum number of devices for this project", errors.QuotaExceeded),
        ("create", 422, "The metro am has no provisionable c3.small.x86 servers", errors.CapacityExhausted),
        ("create", 503, "The facility ams1 has no provisionable c3.small.x86 servers", errors.CapacityExhausted),
        ("create", 503, "Service Unavailable", errors.TransientError),
        ("create", 503, "", errors.TransientError),
        ("create", 429, "", errors.RateLimited),
        ("create", 500, "", errors.TransientError),
        ("list", 403, "", errors.CredentialsRejected),
        ("list", 404, "", errors.PermanentError),
        ("machine", 404, "", errors.MachineGone),
        ("machine", 403, "", packet.HiddenOrGone),
        ("machine", 422, "Cannot delete a locked item", errors.WrongState),
        ("machine", 418, "", errors.PermanentError),
        ("reserve", 422, "The request exceeds the quota of addresses and requires approval", errors.QuotaExceeded),
        ("reserve", 422, "Quantity must be a power of two", errors.PermanentError),
        ("reserve", 403, "", errors.CredentialsRejected),
        ("ip", 403, "", errors.AddressGone),
        ("ip", 404, "", errors.AddressGone),
        ("ip", 422, "Cannot delete a reservation with assignments", errors.WrongState),
    ],
)
def test_the_packet_table(table: str, status: int, words: str, expected: type[ProviderError]) -> None:
    assert type(error_of(table, status, words)) is expected


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("InsufficientInstanceCapacity", 500, errors.CapacityExhausted),
        ("Unsupported", 400, errors.CapacityExhausted),
        ("SpotMaxPriceTooLow", 400, errors.CapacityExhausted),
        ("VcpuLimitExceeded", 400, errors.QuotaExceeded),
        ("SomethingNewLimitExceeded", 400, errors.QuotaExceeded),
        ("RequestLimitExceeded", 503, errors.RateLimited),
        ("Throttling", 400, errors.RateLimited),
        ("AuthFailure", 401, errors.CredentialsRejected),
        ("UnauthorizedOperation", 403, errors.CredentialsRejected),
        ("SomethingNew", 403, errors.CredentialsRejected),
        ("InvalidParameterValue", 400, errors.PermanentError),
        ("InvalidAMIID.NotFound", 400, errors.PermanentError),
        ("OperationNotPermitted", 400, errors.PermanentError),
        ("SomethingNew", 400, errors.PermanentError),
        ("InvalidInstanceID.NotFound", 400, errors.MachineGone),
        ("InvalidAllocationID.NotFound", 400, errors.AddressGone),
        ("InvalidIPAddress.InUse", 400, errors.WrongState),
        ("AddressLimitExceeded", 400, errors.QuotaExceeded),
        ("IncorrectInstanceState", 400, errors.WrongState),
        ("IdempotentInstanceTerminated", 400, errors.TokenSpent),
        ("IdempotentParameterMismatch", 400, ec2.TokenInUse),
        ("UnsupportedOperation", 400, errors.Unsupported),
        ("InternalError", 500, errors.TransientError),
        ("", 502, errors.TransientError),
        ("", 429, errors.RateLimited),
        ("", 0, errors.PermanentError),
    ],
)
def test_the_ec2_table(code: str, status: int, expected: type[ProviderError]) -> None:
    assert ec2.error_class(code, status)[0] is expected


def subclasses(error: type[ProviderError]) -> set[type[ProviderError]]:
    return {one for below in error.__subclasses__() for one in (below, *subclasses(below))}


def test_every_provider_error_can_come_about() -> None:
    rules = (*packet.CREATE_RULES, *packet.LIST_RULES, *packet.MACHINE_RULES, *LAST_RULES)
    mapped = {rule.error for rule in rules} | {error for error, _ in ec2.CODES.values()}
    reachable = {above for error in mapped for above in error.__mro__}
    declared = {one for one in subclasses(ProviderError) if one.__module__ == "hybrid_drivers.errors"}
    assert declared - reachable == set()


def test_every_advice_is_an_instruction_or_a_promise() -> None:
    rules = (*packet.CREATE_RULES, *packet.LIST_RULES, *packet.MACHINE_RULES, *LAST_RULES)
    assert all(rule.advice for rule in rules)
    assert all(advice for _, advice in ec2.CODES.values())
