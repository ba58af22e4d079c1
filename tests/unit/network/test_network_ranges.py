"""Reading ranges of oned: what is free and held, and whose block an address is of."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.network import ranges

# As the pool of a real oned 7.4.0 shows it (recorded: vnpool.info).
STORED = {
    "ALLOCATED": " 0 68719476740",
    "AR_ID": "0",
    "DEPLOY_ID": "7f3c-block",
    "IP": "198.51.100.8",
    "IPAM_MAD": "packet",
    "MAC": "02:00:c6:33:64:08",
    "SIZE": "2",
    "TYPE": "IP4",
}
HANDED = {**{k: v for k, v in STORED.items() if k != "ALLOCATED"}, "IP_END": "198.51.100.9", "USED_LEASES": "1"}


def test_a_range_is_known_again_by_what_drivers_are_handed() -> None:
    assert ranges.same_range(STORED, HANDED)
    assert not ranges.same_range({**STORED, "DEPLOY_ID": "other"}, HANDED)
    assert not ranges.same_range({**STORED, "AR_ID": "1"}, HANDED)


def test_leases_are_pairs_of_number_and_holder() -> None:
    assert ranges.held(STORED) == {0}
    assert ranges.held({"ALLOCATED": " 0 68719476740 3 68719476741"}) == {0, 3}
    assert ranges.held({}) == ranges.held({"ALLOCATED": ""}) == set()


@given(st.integers(1, 12), st.sets(st.integers(0, 15)), st.integers(1, 5))
def test_free_addresses_in_a_row_are_found_or_the_reason_is_told(size: int, taken: set[int], count: int) -> None:
    ar = {"SIZE": str(size)}
    free = [one for one in range(size) if one not in taken]
    fitting = [at for at in free if set(range(at, at + count)) <= set(free)]
    if fitting:
        assert ranges.choose(ar, taken, count) == fitting[0]
        return
    with pytest.raises(ConfigError) as caught:
        ranges.choose(ar, taken, count)
    assert f"has {len(free)} free addresses" in str(caught.value)
    assert ("in a row" in str(caught.value)) is (len(free) >= count)


@given(st.integers(0, 255), st.integers(1, 300), st.integers(0, 400))
def test_addresses_and_numbers_are_the_same_thing(low: int, size: int, number: int) -> None:
    ar = {"IP": f"10.1.0.{low}", "MAC": "02:00:0a:01:00:ff", "IP6": "2001:db8::ff00", "SIZE": str(size)}
    found = ranges.address_at(ar, number)
    expected = number if number < size else None
    assert ranges.number_of(ar, found["IP"], "", "") == expected
    assert ranges.number_of(ar, "", found["IP6"], "") == expected
    assert ranges.number_of(ar, "", "", found["MAC"]) == expected


@pytest.mark.parametrize("given", [("", "", ""), ("nonsense", "", ""), ("198.51.100.7", "", ""), ("", "::1", "zz:zz")])
def test_what_is_not_in_the_range_has_no_number(given: tuple[str, str, str]) -> None:
    assert ranges.number_of(STORED, *given) is None


def test_blocks_are_named_by_every_kind_of_range() -> None:
    known = [STORED, {"AWS_ALLOCATION_ID": "eipalloc-1"}, {"DEPLOY_ID": "a, b", "DEPLOY_ID6": "c"}, {"IP": "10.0.0.1"}]
    assert ranges.named(known) == {"7f3c-block", "eipalloc-1", "a", "b", "c"}


def test_what_ranges_have() -> None:
    assert [last - first for first, last in ranges.spans4([STORED, {"IP": ""}, {"IP": "10.0.0.1"}])] == [1, 0]
    assert ranges.networks6([{"GLOBAL_PREFIX": "2001:db8:0:5::"}]) == ["2001:db8:0:5::/64"]
    assert ranges.networks6([{"IP6": "2001:db8::10", "SIZE": "3"}]) == ["2001:db8::10/127", "2001:db8::12/128"]
    (huge,) = ranges.networks6([{"IP6": "2001:db8::", "SIZE": str(1 << 70)}])
    assert ipaddress.IPv6Network(huge).prefixlen == 64


def test_an_address_stands_for_a_public_one() -> None:
    assert ranges.public_address(STORED, "198.51.100.9") == ("198.51.100.9", "7f3c-block")
    assert ranges.public_address(STORED, "198.51.100.10") is None
    inside = {"IP": "100.64.0.1", "SIZE": "2", "DEPLOY_ID": "e1,e2", "EXTERNAL_IP": "192.0.2.7,203.0.113.9"}
    assert ranges.public_address(inside, "100.64.0.2") == ("203.0.113.9", "e2")
    assert ranges.public_address({**inside, "DEPLOY_ID": "e1"}, "100.64.0.2") is None
    six = {"GLOBAL_PREFIX": "2001:db8::", "DEPLOY_ID6": "six", "SIZE": "9"}
    assert ranges.public_address(six, "2001:db8::5") == ("2001:db8::5", "six")
    assert ranges.public_address(six, "2001:db8:1::5") is None


def test_the_machine_that_holds_an_address() -> None:
    assert ranges.machine_at(STORED, 0) == 68719476740 - (1 << 36) == 4
    assert ranges.machine_at(STORED, 1) is None
    assert ranges.machine_at({"ALLOCATED": f" 1 {1 << 37 | 4}"}, 1) is None  # a reservation has it


def test_the_number_of_a_public_address() -> None:
    assert ranges.number_of_public(STORED, "198.51.100.9") == 1
    assert ranges.number_of_public(STORED, "198.51.100.10") is None
    translated = {"IP": "100.64.0.8", "SIZE": "2", "EXTERNAL_IP": "192.0.2.7,192.0.2.200", "DEPLOY_ID": "a,b"}
    assert ranges.number_of_public(translated, "192.0.2.200") == 1
    assert ranges.number_of_public(translated, "100.64.0.8") is None
    counted = {"IP6": "2001:db8::ff", "SIZE": "2", "DEPLOY_ID6": "c"}
    assert ranges.number_of_public(counted, "2001:db8::100") == 1
    assert ranges.number_of_public(counted, "2001:db8::101") is None


@given(st.integers(0, 9))
def test_the_number_of_an_address_made_of_a_mac(number: int) -> None:
    made = {"TYPE": "IP6", "MAC": "02:00:c6:33:64:fc", "GLOBAL_PREFIX": "2001:db8:1:2::", "SIZE": "8"}
    digits = int(made["MAC"].replace(":", ""), 16) + number
    low = (digits >> 24 ^ 0x020000) << 40 | 0xFFFE << 24 | digits & 0xFFFFFF
    address = str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("2001:db8:1:2::")) | low))
    assert ranges.number_of_public(made, address) == (number if number < 8 else None)
    assert ranges.number_of_public(made, "2001:db8:1:2::1") is None  # a host's own
