"""What every provider with public addresses must do. Parametrised over all of them; none may have its own version."""

from __future__ import annotations

import ipaddress
import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.addresses import BENCHES, CANARY, Bench
from tests.support.providers import OWNER, until

from hybrid_drivers.errors import (
    AddressGone,
    ConfigError,
    CredentialsRejected,
    MachineGone,
    OutcomeUnknown,
    ProviderError,
    QuotaExceeded,
    TransientError,
    Unsupported,
)
from hybrid_drivers.model_addresses import AddressTags
from hybrid_drivers.providers.base import PublicAddresses


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with BENCHES[request.param](tmp_path) as one:
        yield one


def listed(bench: Bench, owner: str = OWNER) -> set[str]:
    return {one.id for one in bench.addresses.blocks(owner)}


# --- reserving --------------------------------------------------------------------------------------------------------


def test_a_block_carries_its_tags_from_the_first_moment(bench: Bench) -> None:
    tags = {"index": 3, "inside": "10.0.0.4", "prefix6": "2001:db8::/64"}
    made = bench.block(tags=tags)
    assert made.tags == AddressTags(owner=OWNER, token="token-1", **tags)  # type: ignore[arg-type] # one dict of both
    assert (made.family, made.size, made.shared) == (4, 1, False)
    assert ipaddress.ip_address(made.first).version == 4
    assert bench.addresses.block(made.id) == made
    assert list(bench.addresses.blocks(OWNER)) == [made]
    assert set(bench.blocks()) == {made.id}


@pytest.mark.parametrize("size", [2, 3, 8, 200])
def test_more_than_one_address(bench: Bench, size: int) -> None:
    if bench.addresses.one_by_one:
        with pytest.raises(Unsupported):
            bench.block(size)
        return
    made = bench.block(size)
    assert size <= made.size < 2 * size


def test_blocks_of_others_are_not_listed(bench: Bench) -> None:
    bench.block(owner="somebody-else")
    assert listed(bench) == set()


def test_a_lost_reply_is_an_unknown_outcome_and_the_token_finds_the_block(bench: Bench) -> None:
    bench.simulator.knobs.lost_address_reply = 1
    with pytest.raises(OutcomeUnknown):
        bench.block()
    assert [one.tags.token for one in bench.addresses.blocks(OWNER) if one.tags] == ["token-1"]


def test_over_quota_nothing_is_reserved(bench: Bench) -> None:
    bench.simulator.knobs.address_quota = 1
    bench.block()
    with pytest.raises(QuotaExceeded):
        bench.block(token="token-2")
    assert len(bench.blocks()) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refused_reservation_raises_and_reserves_nothing(bench: Bench, status: int) -> None:
    bench.simulator.knobs.change({"error_rate": 1, "error_status": status})
    with pytest.raises((TransientError, OutcomeUnknown)):
        bench.block()
    assert bench.blocks() == {}


def test_lists_may_lag(bench: Bench) -> None:
    bench.simulator.knobs.list_lag = 1.0
    made = bench.block()
    assert listed(bench) == set()
    until(lambda: listed(bench) == {made.id})


# --- releasing --------------------------------------------------------------------------------------------------------


def test_release_is_repeatable_and_of_an_unknown_block_a_success(bench: Bench) -> None:
    made = bench.block()
    for _ in range(3):
        bench.addresses.release(made.id)
    bench.addresses.release(bench.unknown)
    assert (bench.blocks(), listed(bench)) == ({}, set())
    with pytest.raises(AddressGone):
        bench.addresses.block(made.id)


def test_release_takes_the_addresses_from_machines_first(bench: Bench) -> None:
    made, machine = bench.block(), bench.machine()
    bench.addresses.assign(made.first, made.id, machine)
    bench.addresses.release(made.id)
    assert (bench.blocks(), bench.assigned()) == ({}, {})


# --- assigning --------------------------------------------------------------------------------------------------------


def test_an_address_is_assigned_once_and_repeating_is_harmless(bench: Bench) -> None:
    made, machine = bench.block(), bench.machine()
    assert bench.addresses.assignment(made.first, made.id) is None
    one = bench.addresses.assign(made.first, made.id, machine)
    assert one.machine_id == machine
    assert bool(one.private) is bench.addresses.translates
    assert bench.addresses.assign(made.first, made.id, machine) == one
    assert bench.addresses.assignment(made.first, made.id) == one
    assert bench.assigned() == {made.first: machine}


def test_an_address_that_another_machine_has_moves(bench: Bench) -> None:
    made, first, second = bench.block(), bench.machine(), bench.machine()
    bench.addresses.assign(made.first, made.id, first)
    assert bench.addresses.assign(made.first, made.id, second).machine_id == second
    assert bench.assigned() == {made.first: second}


def test_unassign_is_repeatable(bench: Bench) -> None:
    made, machine = bench.block(), bench.machine()
    bench.addresses.unassign(made.first, made.id)
    bench.addresses.assign(made.first, made.id, machine)
    for _ in range(2):
        bench.addresses.unassign(made.first, made.id)
        assert bench.assigned() == {}
    bench.addresses.release(made.id)
    bench.addresses.unassign(made.first, made.id)
    bench.addresses.unassign("198.51.100.1", bench.unknown)


def test_two_addresses_of_one_machine_do_not_disturb_each_other(bench: Bench) -> None:
    one, other, machine = bench.block(), bench.block(token="token-2"), bench.machine()
    spots = {bench.addresses.assign(block.first, block.id, machine).private for block in (one, other)}
    assert len(spots) == (2 if bench.addresses.translates else 1)
    bench.addresses.unassign(one.first, one.id)
    assert bench.assigned() == {other.first: machine}


def test_addresses_that_come_and_go_at_one_machine_at_the_same_time(bench: Bench) -> None:
    machine, blocks = bench.machine(), [bench.block(token=f"token-{number}") for number in range(4)]
    come, gone = blocks[:3], blocks[3]
    bench.addresses.assign(gone.first, gone.id, machine)
    bench.simulator.knobs.latency = 0.05  # so that each looks before another has done
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(bench.addresses.assign, one.first, one.id, machine) for one in come]
        pool.submit(bench.addresses.unassign, gone.first, gone.id).result()
        spots = {one.result().private for one in made}
    bench.simulator.knobs.latency = 0
    assert bench.assigned() == {one.first: machine for one in come}
    assert len(spots) == (3 if bench.addresses.translates else 1)


def test_all_assignments_of_a_block(bench: Bench) -> None:
    made, machine = bench.block(), bench.machine()
    assert bench.addresses.assignments(made.id) == {}
    given = bench.addresses.assign(made.first, made.id, machine)
    assert bench.addresses.assignments(made.id) == {made.first: given}
    with pytest.raises(AddressGone):
        bench.addresses.assignments(bench.unknown)


def test_a_machine_or_block_that_is_gone_is_named_as_such(bench: Bench) -> None:
    made, machine = bench.block(), bench.machine()
    bench.provider.delete(machine)
    until(lambda: not any(one.id == machine for one in bench.provider.list(OWNER)))
    with pytest.raises(MachineGone):
        bench.addresses.assign(made.first, made.id, machine)
    with pytest.raises(AddressGone):
        bench.addresses.assign("198.51.100.1", bench.unknown, bench.machine())
    with pytest.raises(AddressGone):
        bench.addresses.assignment("198.51.100.1", bench.unknown)


def test_the_address_of_a_machine_that_ended_is_free(bench: Bench) -> None:
    made, machine, other = bench.block(), bench.machine(), bench.machine()
    bench.addresses.assign(made.first, made.id, machine)
    bench.provider.delete(machine)
    until(lambda: bench.assigned() == {})
    assert bench.addresses.assign(made.first, made.id, other).machine_id == other


def test_lost_replies_while_assigning_leave_the_address_at_one_machine(bench: Bench) -> None:
    made, first, second = bench.block(), bench.machine(), bench.machine()
    for machine in (first, second, first):
        for _ in range(4):
            bench.simulator.knobs.lost_address_reply = 1
            try:
                bench.addresses.assign(made.first, made.id, machine)
            except (TransientError, OutcomeUnknown):
                continue
        bench.simulator.knobs.lost_address_reply = 0
        bench.addresses.assign(made.first, made.id, machine)
        assert bench.assigned() == {made.first: machine}
    bench.simulator.knobs.lost_address_reply = 0
    bench.addresses.unassign(made.first, made.id)
    assert bench.assigned() == {}


# --- IPv6 -------------------------------------------------------------------------------------------------------------


def test_ipv6_networks_come_from_the_provider_and_move_like_others(bench: Bench) -> None:
    first, second = bench.machine(), bench.machine()
    made = bench.block(0, family=6)
    assert (made.family, ipaddress.ip_network(made.network).prefixlen, made.shared) == (6, 64, True)
    address = str(ipaddress.ip_network(made.network)[0x4321])
    for machine in (first, second, second):
        assert bench.addresses.assign(address, made.id, machine).machine_id == machine
        found = bench.addresses.assignment(address, made.id)
        assert found is not None
        assert found.machine_id == machine
        assert bench.addresses.assignments(made.id)[address] == found
    for _ in range(2):
        bench.addresses.unassign(address, made.id)
        assert bench.addresses.assignment(address, made.id) is None


def test_a_network_of_the_whole_account_is_never_given_back(bench: Bench) -> None:
    bench.machine()
    made = bench.block(0, family=6)
    bench.addresses.release(made.id)
    assert bench.addresses.block(made.id).family == 6


def test_ipv6_ranges_do_not_overlap_with_taken_ones(bench: Bench) -> None:
    bench.machine()
    wish = bench.wish(4, family=6)
    one = bench.addresses.reserve(wish)
    other = bench.addresses.reserve(
        type(wish)(tags=wish.tags, family=6, size=4, attributes=bench.place, taken=(one.network,))
    )
    assert not ipaddress.ip_network(one.network).overlaps(ipaddress.ip_network(other.network))
    assert one.size >= 4


# --- credentials and secrets ------------------------------------------------------------------------------------------


def calls(addresses: PublicAddresses, bench: Bench) -> list[Callable[[], object]]:
    return [
        lambda: addresses.reserve(bench.wish()),
        lambda: addresses.blocks(OWNER),
        lambda: addresses.block(bench.unknown),
        lambda: addresses.release(bench.unknown),
        lambda: addresses.assignment("198.51.100.1", bench.unknown),
        lambda: addresses.assign("198.51.100.1", bench.unknown, "machine"),
        lambda: addresses.unassign("198.51.100.1", bench.unknown),
    ]


def test_wrong_credentials_are_named_as_such_by_every_verb(bench: Bench) -> None:
    stranger = bench.make(bench.simulator.url, "nobody-knows-this")
    assert isinstance(stranger, PublicAddresses)
    for call in calls(stranger, bench):
        with pytest.raises(CredentialsRejected):
            call()


def test_nobody_there_is_a_passing_failure(bench: Bench) -> None:
    away = bench.make("http://127.0.0.1:9", CANARY)
    assert isinstance(away, PublicAddresses)
    for call in calls(away, bench):
        with pytest.raises(TransientError, match="cannot be reached"):
            call()


def test_no_secret_is_in_any_error_or_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    for status in (429, 500, 503):
        bench.simulator.knobs.change({"error_rate": 1, "error_status": status})
        for call in calls(bench.addresses, bench):
            with pytest.raises(ProviderError) as caught:
                call()
            told += [str(caught.value), *traceback.format_exception(caught.value)]
    assert CANARY not in "\n".join([*told, caplog.text])


def test_a_place_is_asked_for(bench: Bench) -> None:
    nowhere = type(bench.wish())(tags=bench.wish().tags, family=6, size=1)
    with pytest.raises(ConfigError, match=r"METRO|SUBNETID"):
        bench.addresses.reserve(nowhere)
