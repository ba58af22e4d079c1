from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from botocore.exceptions import BotoCoreError
from tests.support.ec2_account import USER_DATA, Account, refused
from tests.support.simulators import quick, wait_for

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.machines.none import NoMachines


@pytest.fixture
def simulator() -> Iterator[Ec2Simulator]:
    one = Ec2Simulator(NoMachines(), quick())
    one.start()
    yield one
    one.stop()


@pytest.fixture
def account(simulator: Ec2Simulator) -> Account:
    return Account(simulator)


def test_sold_out_is_http_500_and_other_zones_still_have_some(account: Account) -> None:
    account.simulator.knobs.capacity = {"c5.metal@eu-central-1a": 1}
    account.run()
    assert refused(account.run) == ("InsufficientInstanceCapacity", 500)
    account.run(Placement={"AvailabilityZone": "eu-central-1b"})


def test_a_batch_gets_what_is_left_or_nothing(account: Account) -> None:
    account.simulator.knobs.capacity = {"c5.metal@*": 3}
    assert len(account.ec2.run_instances(**account.order(MinCount=1, MaxCount=5))["Instances"]) == 3
    assert refused(lambda: account.run(MinCount=1, MaxCount=2)) == ("InsufficientInstanceCapacity", 500)


def test_the_quota_is_its_own_error(account: Account) -> None:
    account.simulator.knobs.quota = 1
    account.run()
    assert refused(account.run) == ("VcpuLimitExceeded", 400)


def test_a_new_instance_is_not_found_while_lists_lag(account: Account) -> None:
    account.simulator.knobs.list_lag = 3600
    hidden = account.run(ClientToken="t-1")
    assert account.ids() == []
    assert refused(lambda: account.get(hidden)) == ("InvalidInstanceID.NotFound", 400)
    assert refused(lambda: account.terminate(hidden)) == ("InvalidInstanceID.NotFound", 400)
    assert account.run(ClientToken="t-1") == hidden
    account.simulator.knobs.list_lag = 0.2
    shown = account.run(ClientToken="t-2")
    wait_for(lambda: account.ids() == [shown])


def test_a_lost_reply_comes_after_the_instance_was_made_and_the_token_finds_it(account: Account) -> None:
    account.simulator.knobs.lost_reply = 1
    with pytest.raises(BotoCoreError):
        account.run(ClientToken="t-1")
    (one,) = account.ids()
    assert account.run(ClientToken="t-1") == one


@pytest.mark.parametrize(
    ("status", "code", "http"),
    [(429, "RequestLimitExceeded", 503), (500, "InternalError", 500), (503, "Unavailable", 503)],
)
def test_a_storm_refuses_in_the_words_of_ec2(account: Account, status: int, code: str, http: int) -> None:
    account.simulator.knobs.change({"error_rate": 1, "error_status": status, "error_calls": "RunInstances"})
    assert refused(account.run) == (code, http)
    assert account.ids() == []


def test_the_rate_limit(account: Account) -> None:
    account.simulator.knobs.rate_limit = 2
    for _ in range(2):
        account.ids()
    assert refused(account.ids) == ("RequestLimitExceeded", 503)


def test_a_lying_terminate(account: Account) -> None:
    one = account.running()
    account.simulator.knobs.lying_delete = 1
    change = account.ec2.terminate_instances(InstanceIds=[one])["TerminatingInstances"][0]
    assert change["CurrentState"]["Name"] == "shutting-down"
    assert account.get(one)["State"]["Name"] == "running"
    account.terminate(one)


def test_a_launch_can_fail_after_it_was_accepted(account: Account) -> None:
    account.simulator.knobs.change({"fail_provisioning": 1, "fail_reason": "Server.InsufficientInstanceCapacity"})
    failed = account.until(account.run(), "terminated")
    assert failed["StateReason"]["Code"] == "Server.InsufficientInstanceCapacity"
    account.running()


def test_the_console_tells_the_truth_about_a_bad_host_key(account: Account) -> None:
    account.simulator.knobs.bad_host_key = True
    one = account.running(UserData=USER_DATA)
    output = account.ec2.get_console_output(InstanceId=one)["Output"]
    assert "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5" in output
    assert "AAAAC3Nza edge1" not in output


def test_calls_are_counted_by_action(account: Account) -> None:
    one = account.run()
    account.get(one)
    account.get(one)
    refused(account.ec2.describe_vpcs)
    assert account.simulator.calls == {"RunInstances": 1, "DescribeInstances": 2, "(unknown)": 1}
    shown = requests.get(f"{account.simulator.url}/_sandbox/machines", timeout=5).json()["machines"]
    assert [(one["id"], one["tags"]) for one in shown] == [(one, {})]


def test_a_form_that_is_rubbish_is_one_clear_error(simulator: Ec2Simulator) -> None:
    reply = requests.post(simulator.url, data=b"\xff\xfe%%%&&==", timeout=5)
    assert (reply.status_code, "<Code>AuthFailure</Code>" in reply.text) == (401, True)


SPOT = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.5"}}


@pytest.mark.parametrize(
    ("knob", "code", "http"),
    [
        ({"spot_capacity": "c5.metal@*=0"}, "InsufficientInstanceCapacity", 500),
        ({"spot_price": "*@*=0.51"}, "SpotMaxPriceTooLow", 400),
        ({"spot_quota": 1}, "MaxSpotInstanceCountExceeded", 400),
    ],
)
def test_spot_has_troubles_of_its_own(account: Account, knob: dict[str, object], code: str, http: int) -> None:
    account.run(InstanceMarketOptions=SPOT)
    account.simulator.knobs.change(knob)
    assert refused(lambda: account.run(InstanceMarketOptions=SPOT)) == (code, http)
    account.run()


def test_only_a_spot_instance_that_runs_is_interrupted(account: Account, simulator: Ec2Simulator) -> None:
    for instance in (account.running(), "i-00000000000000000"):
        with pytest.raises(ConfigError, match="is no spot instance that runs"):
            simulator.interrupt(instance)
    spot = account.running(InstanceMarketOptions=SPOT)
    simulator.knobs.change({"spot_notice": 3600})
    simulator.interrupt(spot, "marked-for-termination")
    (told,) = account.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (told["Status"]["Code"], told["State"], told["SpotPrice"]) == (
        "marked-for-termination",
        "active",
        "0.500000",
    )
    simulator.knobs.change({"spot_notice": 0})
    simulator.interrupt(spot, "marked-for-termination")
    ended = account.until(spot, "terminated")
    assert ended["StateReason"]["Code"] == "Server.SpotInstanceTermination"
    (told,) = account.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    assert (told["Status"]["Code"], told["State"]) == ("instance-terminated-by-price", "closed")
