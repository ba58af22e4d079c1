"""Free addresses are found whenever there are any, the lowest first, and never one that is taken."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from hybrid_drivers.network.addresses import free_network, free_run, free_span, span_of

HELD = st.sets(st.integers(0, 19))


@given(st.integers(0, 20), HELD, st.integers(1, 6), st.integers(0, 20))
def test_a_run_is_the_lowest_that_fits(size: int, held: set[int], count: int, begin: int) -> None:
    fitting = [at for at in range(begin, size - count + 1) if not held & set(range(at, at + count))]
    assert free_run(size, held, count, begin) == (fitting[0] if fitting else None)


def test_a_run_in_an_ipv6_network_needs_no_look_at_every_number() -> None:
    assert free_run(1 << 64, range(1000), 5) == 1000


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1])))


@given(st.integers(10, 20), st.integers(0, 15), SPANS, st.integers(1, 6))
def test_a_span_is_the_lowest_that_touches_no_other(
    first: int, length: int, taken: list[tuple[int, int]], count: int
) -> None:
    held = {one for low, high in taken for one in range(low, high + 1)}
    last = first + length
    fitting = [at for at in range(first, last - count + 2) if not held & set(range(at, at + count))]
    assert free_span((first, last), taken, count) == (fitting[0] if fitting else None)


PARENT = ipaddress.IPv6Network("2001:db8::/116")
PARTS = st.sampled_from([one for bits in range(117, 126) for one in PARENT.subnets(new_prefix=bits)])


@given(st.integers(117, 124), st.lists(PARTS, max_size=8), st.sampled_from([0, 1, 256, 4096]))
def test_a_network_is_the_first_that_overlaps_with_none(
    bits: int, taken: list[ipaddress.IPv6Network], skip: int
) -> None:
    fitting = [
        one
        for one in PARENT.subnets(new_prefix=bits)
        if span_of(one)[0] >= span_of(PARENT)[0] + skip and not any(one.overlaps(other) for other in taken)
    ]
    assert free_network(PARENT, bits, taken, skip) == (fitting[0] if fitting else None)


def test_networks_elsewhere_do_not_matter() -> None:
    other = ipaddress.IPv6Network("2001:db8:1::/48")
    assert free_network(PARENT, 120, [other]) == ipaddress.IPv6Network("2001:db8::/120")
