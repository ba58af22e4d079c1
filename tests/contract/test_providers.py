"""What every provider must do, whatever is behind it. Parametrised over all of them; none may have its own version."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.providers import CANARY, LABS, OWNER, USER_DATA, Lab, request, until

from hybrid_drivers.errors import (
    CapacityExhausted,
    ConfigError,
    CredentialsRejected,
    MachineGone,
    OutcomeUnknown,
    ProviderError,
    QuotaExceeded,
    TokenSpent,
    TransientError,
    WrongState,
)
from hybrid_drivers.model import Machine, MachineState, Placement
from hybrid_drivers.providers.base import (
    Checks,
    ConsoleHostKeys,
    Interruptions,
    Limits,
    Power,
    Price,
    Provider,
    SpotPrices,
)


@pytest.fixture(params=LABS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    with LABS[request.param](tmp_path) as one:
        yield one


def listed(lab: Lab, owner: str = OWNER) -> dict[str, Machine]:
    return {one.id: one for one in lab.provider.list(owner)}


def running(lab: Lab, machine_id: str) -> Machine:
    until(lambda: lab.provider.get(machine_id).state is MachineState.RUNNING)
    return lab.provider.get(machine_id)


def gone(lab: Lab, machine_id: str) -> bool:
    try:
        lab.provider.get(machine_id)
    except MachineGone:
        return machine_id not in listed(lab)
    return False


def delete(lab: Lab, machine_id: str) -> None:
    """As the agent does: some providers refuse while a machine is still being made."""

    def done() -> bool:
        try:
            lab.provider.delete(machine_id)
        except WrongState:
            return False
        return True

    until(done)


def test_it_is_a_provider_with_limits(lab: Lab) -> None:
    assert isinstance(lab.provider, Provider)
    assert isinstance(lab.provider.limits, Limits)
    assert lab.provider.limits.settle > 0


@pytest.mark.parametrize("name", ["packet", "packet-gone-is-403", "ec2"])
def test_a_provider_that_rents_is_spared_no_test(name: str, tmp_path: Path) -> None:
    with LABS[name](tmp_path) as lab:
        assert set(lab.troubles) == {"capacity", "quota", "throttled", "broken", "unavailable"}
        assert all((lab.lose_next_reply, lab.stranger, lab.unreachable, lab.small_pages))


def test_a_provider_with_credentials_can_check_them(lab: Lab) -> None:
    assert isinstance(lab.provider, Checks) is bool(lab.stranger)
    if isinstance(lab.provider, Checks) and lab.stranger and lab.unreachable:
        assert "accepted" in lab.provider.check_access()
        stranger, unreachable = lab.stranger(), lab.unreachable()
        assert isinstance(stranger, Checks)
        assert isinstance(unreachable, Checks)
        with pytest.raises(CredentialsRejected):
            stranger.check_access()
        with pytest.raises(TransientError):
            unreachable.check_access()
        assert listed(lab) == {}


def test_create_list_get_delete_gone(lab: Lab) -> None:
    made = lab.provider.create(request(lab))
    assert made.state in {MachineState.STARTING, MachineState.RUNNING}
    assert made.id in listed(lab)
    machine = running(lab, made.id)
    assert machine.id == made.id
    assert machine.address() is not None
    delete(lab, made.id)
    until(lambda: gone(lab, made.id))


def test_a_new_machine_carries_its_tags_from_the_first_moment(lab: Lab) -> None:
    wanted = request(lab, token="aB0-9._token", host_id=4711, name="edge one=é, 2")
    made = lab.provider.create(wanted)
    assert made.tags == wanted.tags
    assert lab.provider.get(made.id).tags == wanted.tags
    assert listed(lab)[made.id].tags == wanted.tags


def test_machines_of_another_owner_are_not_listed(lab: Lab) -> None:
    lab.provider.create(request(lab, owner=f"{OWNER}-other"))
    assert listed(lab) == {}


def test_the_same_token_gives_the_same_machine_where_that_is_promised(lab: Lab) -> None:
    first = lab.provider.create(request(lab))
    second = lab.provider.create(request(lab))
    assert (first.id == second.id) is lab.provider.idempotent_create
    assert len(listed(lab)) == (1 if lab.provider.idempotent_create else 2)
    assert {one.tags.token for one in listed(lab).values() if one.tags} == {"token-1"}


def test_the_token_of_a_machine_that_ended_makes_a_new_one_or_is_spent(lab: Lab) -> None:
    made = lab.provider.create(request(lab))
    running(lab, made.id)
    delete(lab, made.id)
    until(lambda: gone(lab, made.id))
    try:
        again = lab.provider.create(request(lab))
    except TokenSpent:
        assert listed(lab) == {}
    else:
        assert set(listed(lab)) == {again.id}


def test_a_reply_lost_after_the_work_was_done_is_an_unknown_outcome(lab: Lab) -> None:
    if lab.lose_next_reply is None:
        pytest.skip("nothing is sent anywhere")
    lab.lose_next_reply()
    with pytest.raises(OutcomeUnknown):
        lab.provider.create(request(lab))
    assert [one.tags.token for one in listed(lab).values() if one.tags] == ["token-1"]


def test_what_the_last_look_raises_stops_a_create(lab: Lab) -> None:
    def look() -> None:
        raise TransientError("another agent has the host now")

    with pytest.raises(TransientError, match="another agent"):
        lab.provider.create(replace(request(lab), last_look=look))
    assert listed(lab) == {}


@pytest.mark.parametrize("trouble", ["capacity", "quota", "throttled", "broken", "unavailable", "credentials"])
def test_a_create_in_trouble_raises_its_class_and_makes_nothing(lab: Lab, trouble: str) -> None:
    if trouble not in lab.troubles:
        pytest.skip("this provider cannot have that trouble")
    begin, expected = lab.troubles[trouble]
    before = len(listed(lab))
    if trouble == "quota" and lab.unreachable:
        lab.provider.create(request(lab, token="fills-the-quota"))
        before += 1
    begin()
    with pytest.raises(ProviderError) as caught:
        lab.provider.create(request(lab))
    assert type(caught.value) is expected
    if expected is not OutcomeUnknown and trouble != "throttled":
        assert len(listed(lab)) == before


def test_wrong_credentials_are_named_as_such_by_every_verb(lab: Lab) -> None:
    if lab.stranger is None:
        pytest.skip("there are no credentials")
    stranger = lab.stranger()
    for call in (
        lambda: stranger.create(request(lab)),
        lambda: stranger.list(OWNER),
        lambda: stranger.get(lab.unknown_id),
        lambda: stranger.delete(lab.unknown_id),
    ):
        with pytest.raises(CredentialsRejected):
            call()


def test_nobody_there_is_a_passing_failure_and_nothing_was_sent(lab: Lab) -> None:
    if lab.unreachable is None:
        pytest.skip("nothing is sent anywhere")
    provider = lab.unreachable()
    for call in (lambda: provider.create(request(lab)), lambda: provider.list(OWNER)):
        with pytest.raises(TransientError, match="cannot be reached"):
            call()


def test_delete_twice_and_of_an_unknown_machine_succeed(lab: Lab) -> None:
    made = lab.provider.create(request(lab))
    running(lab, made.id)
    delete(lab, made.id)
    lab.provider.delete(made.id)
    until(lambda: gone(lab, made.id))
    lab.provider.delete(made.id)
    lab.provider.delete(lab.unknown_id)


def test_an_unknown_machine_is_gone(lab: Lab) -> None:
    with pytest.raises(MachineGone):
        lab.provider.get(lab.unknown_id)


def test_lists_longer_than_a_page_are_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    if lab.small_pages:
        lab.small_pages(monkeypatch)
    made = {lab.provider.create(request(lab, token=f"token-{number}")).id for number in range(12)}
    assert set(listed(lab)) == made
    assert len(made) == 12


def test_many_threads_make_one_machine_each(lab: Lab) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: lab.provider.create(request(lab, token=f"token-{number}")), range(8)))
    assert len({one.id for one in made}) == 8
    assert set(listed(lab)) == {one.id for one in made}


def test_power_goes_off_and_on(lab: Lab) -> None:
    if not isinstance(lab.provider, Power):
        pytest.skip("no such capability")
    machine = running(lab, lab.provider.create(request(lab)).id)
    lab.provider.power_off(machine.id)
    until(lambda: lab.provider.get(machine.id).state is MachineState.STOPPED)
    lab.provider.power_on(machine.id)
    running(lab, machine.id)
    lab.provider.reboot(machine.id)
    running(lab, machine.id)


def test_power_of_an_unknown_machine_is_gone(lab: Lab) -> None:
    if not isinstance(lab.provider, Power):
        pytest.skip("no such capability")
    with pytest.raises(MachineGone):
        lab.provider.power_on(lab.unknown_id)


def test_host_keys_are_none_or_public_keys(lab: Lab) -> None:
    if not isinstance(lab.provider, ConsoleHostKeys):
        pytest.skip("no such capability")
    machine = running(lab, lab.provider.create(request(lab)).id)
    assert all(key.startswith(("ssh-", "ecdsa-")) for key in lab.provider.host_keys(machine.id))


def test_placements_go_through_all_places_of_a_plan_first(lab: Lab) -> None:
    found = lab.provider.placements(lab.attributes)
    assert all(isinstance(one, Placement) and one.plan and one.place for one in found)
    plans = [one.plan for one in found]
    assert plans == sorted(plans, key=plans.index)


def test_an_unknown_attribute_is_named_with_the_nearest_known(lab: Lab) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'HOSTNAM'.*did you mean 'HOSTNAME'"):
        lab.provider.placements({**lab.attributes, "HOSTNAM": "edge1"})


def test_tags_of_oneprovision_are_no_unknown_attributes(lab: Lab) -> None:
    extra = {
        "PROVISION_ID": "7",
        "NAME": "p",
        "INDEX": "0",
        "ID": "3",
        "WAIT": "YES",
        "DEPLOY_ID": "x",
        "PLAYBOOK": "default",
    }
    assert lab.provider.placements({**lab.attributes, **extra}) == lab.provider.placements(lab.attributes)


def test_spot_machines_are_the_business_of_both_capabilities_or_of_none(lab: Lab) -> None:
    assert isinstance(lab.provider, SpotPrices) == isinstance(lab.provider, Interruptions) == (lab.market is not None)


@pytest.mark.parametrize(
    "trouble",
    [{"spot_capacity": "*@*=0"}, {"spot_price": "*@*=0.6"}, {"spot_quota": 1}],
    ids=lambda one: next(iter(one)),
)
def test_a_spot_machine_that_cannot_be_had_is_sold_out_or_over_a_quota(lab: Lab, trouble: dict[str, object]) -> None:
    if lab.market is None:
        pytest.skip("no spot machines")
    lab.attributes = {**lab.attributes, **lab.spot}
    first = lab.provider.create(request(lab))
    lab.market.knobs.change(trouble)
    with pytest.raises(QuotaExceeded if "spot_quota" in trouble else CapacityExhausted):
        lab.provider.create(request(lab, token="token-2", host_id=8))
    lab.attributes = {key: value for key, value in lab.attributes.items() if key not in lab.spot}
    on_demand = lab.provider.create(request(lab, token="token-3", host_id=9))
    until(lambda: {*listed(lab)} == {first.id, on_demand.id})


def test_spot_prices_are_the_markets_and_none_where_nobody_tells(lab: Lab) -> None:
    if lab.market is None or not isinstance(lab.provider, SpotPrices):
        pytest.skip("no spot machines")
    (place, *_) = lab.provider.placements(lab.attributes)
    lab.market.knobs.change({"spot_price": f"{place.plan}@*=0.35"})
    found = [lab.provider.spot_price_hour(place.plan, place.place) for _ in range(2)]
    assert found == [Price(amount=0.35)] * 2
    assert sum(count for name, count in lab.market.calls.items() if "spot" in name.lower()) == 1
    (other,) = {one.plan for one in lab.provider.placements(lab.attributes)} - {place.plan}
    assert lab.provider.spot_price_hour(other, place.place) is None


def test_an_interrupted_machine_is_told_of_while_it_runs_and_then_goes(lab: Lab) -> None:
    if lab.market is None or not isinstance(lab.provider, Interruptions):
        pytest.skip("no spot machines")
    lab.attributes = {**lab.attributes, **lab.spot}
    first, second = (lab.provider.create(request(lab, token=f"t-{n}", host_id=n)).id for n in (7, 8))
    for one in (first, second):
        running(lab, one)
    assert not lab.provider.interruptions(OWNER)
    lab.market.knobs.change({"spot_notice": 120})
    lab.market.interrupt(first)
    told = lab.provider.interruptions(OWNER)
    assert {*told} == {first}
    assert abs((told[first] or 0) - time.time() - 120) < 30
    assert lab.provider.get(first).state is MachineState.RUNNING
    lab.market.knobs.change({"spot_notice": 0})
    lab.market.interrupt(first)
    until(lambda: gone(lab, first))
    delete(lab, second)
    until(lambda: gone(lab, second))
    assert second not in lab.provider.interruptions(OWNER)  # that was us


def test_no_secret_is_in_any_error_or_log(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = [repr(lab.provider.entry), repr(vars(lab.provider)), repr(request(lab))]
    lab.provider.create(request(lab, token="fills-the-quota"))
    for begin, _ in lab.troubles.values():
        begin()
        seen += errors_of(lab, lab.provider)
    for other in (lab.stranger, lab.unreachable):
        seen += errors_of(lab, other()) if other else []
    text = "\n".join([*seen, caplog.text])
    assert CANARY not in text
    assert "PRIVATE KEY" not in text
    assert USER_DATA not in text


def errors_of(lab: Lab, provider: Provider) -> list[str]:
    found = []
    for call in (lambda: provider.create(request(lab, token="another")), lambda: provider.list(OWNER)):
        try:
            call()
        except ProviderError as exc:
            found += [str(exc), repr(exc), *traceback.format_exception(exc)]
    return found
