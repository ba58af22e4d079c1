"""What a new range is to be, and what oned is told of it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model_addresses import Block
from hybrid_drivers.network import ipam, ranges
from hybrid_drivers.network.addresses import span_of

REQUEST = {
    "TYPE": "IP4",
    "SIZE": "2",
    "IPAM_MAD": "packet",
    "PROVIDER": "ams",
    "IP": "192.0.2.1",
    "GATEWAY": "10.0.0.1",
}


@pytest.mark.parametrize(
    ("kind", "families", "static"),
    [
        ("IP4", (4,), False),
        ("", (4,), False),
        ("ip6", (6,), False),
        ("IP4_6", (4, 6), False),
        ("IP4_6_STATIC", (4, 6), True),
        ("IP6_STATIC", (6,), True),
    ],
)
def test_the_type_tells_the_families(kind: str, families: tuple[int, ...], static: bool) -> None:
    wish = ipam.wanted({**REQUEST, "TYPE": kind})
    assert (wish.families, wish.static6, wish.size) == (families, static, 2)


@pytest.mark.parametrize("size", ["", "0", "-1", "two", "1.5", "٣", "9" * 40])
def test_a_size_that_is_none_is_told(size: str) -> None:
    with pytest.raises(ConfigError, match="SIZE must be a whole number"):
        ipam.wanted({**REQUEST, "SIZE": size})


def test_the_same_request_has_the_same_token_and_no_other_has() -> None:
    token = ipam.token_of("me", "packet", "4", REQUEST)
    assert token == ipam.token_of("me", "packet", "4", dict(reversed(REQUEST.items())))
    others = [
        ipam.token_of("you", "packet", "4", REQUEST),
        ipam.token_of("me", "ec2", "4", REQUEST),
        ipam.token_of("me", "packet", "5", REQUEST),
        ipam.token_of("me", "packet", "4", {**REQUEST, "SIZE": "3"}),
    ]
    assert len({token, *others}) == 5
    assert len(token) == 32


SPANS = st.lists(st.tuples(st.integers(0, 70), st.integers(0, 9)), max_size=12)


@given(st.integers(1, 9), SPANS)
def test_inside_addresses_are_free_and_never_the_ends_of_the_network(count: int, taken: list[tuple[int, int]]) -> None:
    pool = ipaddress.IPv4Network("10.0.0.0/26")
    spans = [(int(pool[0]) + low, int(pool[0]) + low + more) for low, more in taken]
    held = {one for low, high in spans for one in range(low, high + 1)} | set(span_of(pool))
    fitting = [
        one for one in map(int, pool) if one + count - 1 <= int(pool[-1]) and not held & set(range(one, one + count))
    ]
    if not fitting:
        with pytest.raises(ConfigError, match="free addresses in a row"):
            ipam.inside_addresses(str(pool), spans, count)
        return
    assert int(ipaddress.IPv4Address(ipam.inside_addresses(str(pool), spans, count))) == fitting[0]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_ranges_made_one_after_another_share_no_inside_address(sizes: list[int]) -> None:
    assume(sum(sizes) < 500)
    made: list[dict[str, str]] = []
    for size in sizes:
        made.append({"IP": ipam.inside_addresses("10.0.0.0/23", ranges.spans4(made), size), "SIZE": str(size)})
    numbers = [one for first, last in ranges.spans4(made) for one in range(first, last + 1)]
    assert len(set(numbers)) == len(numbers) == sum(sizes)


@pytest.mark.parametrize("pool", ["", "10.0.0.0/33", "2001:db8::/64", "here"])
def test_a_pool_that_is_no_network_is_told(pool: str) -> None:
    with pytest.raises(ConfigError, match="CIDR must be an IPv4 network"):
        ipam.inside_addresses(pool, [], 1)


def block(number: int, network: str, *, shared: bool = False) -> Block:
    return Block(id=f"b{number}", network=network, family=6 if ":" in network else 4, shared=shared)


def test_the_answer_keeps_what_is_the_operators_and_replaces_what_is_not() -> None:
    got = ipam.Reserved(blocks=[block(1, "198.51.100.8/31")])
    told = ipam.described({**REQUEST, "AR_ID": "3", "DEPLOY_ID": "foreign"}, ipam.wanted(REQUEST), "packet", "ams", got)
    assert told == {
        "TYPE": "IP4",
        "SIZE": "2",
        "IPAM_MAD": "packet",
        "PROVIDER": "ams",
        "GATEWAY": "10.0.0.1",
        "IP": "198.51.100.8",
        "DEPLOY_ID": "b1",
    }


def test_inside_addresses_stand_for_the_blocks_in_their_order() -> None:
    got = ipam.Reserved(blocks=[block(1, "192.0.2.9/32"), block(2, "192.0.2.4/32")], inside="100.64.0.1")
    told = ipam.described(REQUEST, ipam.wanted(REQUEST), "ec2", "aws", got)
    assert (told["IP"], told["DEPLOY_ID"], told["EXTERNAL_IP"]) == ("100.64.0.1", "b1,b2", "192.0.2.9,192.0.2.4")
    assert ranges.public_address(told, "100.64.0.2") == ("192.0.2.4", "b2")


@pytest.mark.parametrize(
    ("kind", "network", "shared", "expected"),
    [
        ("IP6", "2001:db8::/64", True, {"GLOBAL_PREFIX": "2001:db8::"}),
        ("IP6_STATIC", "2001:db8::/64", True, {"IP6": "2001:db8::1", "PREFIX_LENGTH": "64"}),
        ("IP6_STATIC", "2001:db8::1:0/126", False, {"IP6": "2001:db8::1:0", "PREFIX_LENGTH": "64"}),
    ],
)
def test_ipv6_is_told_as_its_type_has_it(kind: str, network: str, shared: bool, expected: dict[str, str]) -> None:
    wish = ipam.wanted({**REQUEST, "TYPE": kind})
    told = ipam.described(REQUEST, wish, "packet", "ams", ipam.Reserved(block6=block(6, network, shared=shared)))
    assert {key: told.get(key) for key in expected} == expected
    assert (told["DEPLOY_ID6"], "IP" in told) == ("b6", False)
