"""What is special to ec2, through the real boto3 and real HTTP: tokens, reasons, console, no retries."""

from __future__ import annotations

import base64
import logging
from datetime import datetime, timezone
from pathlib import Path

import pytest
from tests.support.ec2_replies import (
    KEY,
    TAGS,
    described,
    instance,
    provider,
    refused,
    request,
    run_reply,
    sent,
)
from tests.support.providers import CANARY, OWNER, USER_DATA, FakeClock, entry
from tests.support.scripted_http import Scripted, ScriptedServer

from hybrid_drivers.errors import (
    CapacityExhausted,
    ConfigError,
    CredentialsRejected,
    MachineGone,
    OutcomeUnknown,
    PermanentError,
    ProviderError,
    TokenSpent,
    TransientError,
    WrongState,
)
from hybrid_drivers.model import MachineState, MachineTags
from hybrid_drivers.providers.base import Setting
from hybrid_drivers.providers.ec2.client import Ec2Client
from hybrid_drivers.providers.ec2.provider import Ec2Provider


@pytest.mark.parametrize(("user_data", "token"), [("x" * 16385, "t"), ("", "t" * 65), ("", "tö")])
def test_what_ec2_cannot_take_is_not_sent(user_data: str, token: str) -> None:
    with pytest.raises(PermanentError, match=r"16 KiB|64 ASCII"):
        provider().create(request(user_data=user_data, token=token))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (refused("InsufficientInstanceCapacity", 500), CapacityExhausted),
        (refused("InternalError", 500), OutcomeUnknown),
        (refused("Unavailable", 503), OutcomeUnknown),
        (Scripted(status=502, body="<html>"), OutcomeUnknown),
        (Scripted(drop=True), OutcomeUnknown),
        (Scripted(body="no xml"), OutcomeUnknown),
        (run_reply(""), OutcomeUnknown),
        (refused("IdempotentInstanceTerminated"), TokenSpent),
        (refused("AuthFailure", 401), CredentialsRejected),
        (refused("InvalidAMIID.NotFound"), PermanentError),
    ],
)
def test_a_create_is_sent_once(answer: Scripted, expected: type[ProviderError]) -> None:
    with ScriptedServer(answer) as server:
        with pytest.raises(ProviderError) as caught:
            provider(server.url).create(request())
        assert type(caught.value) is expected
        assert len(server.seen) == 1


def test_reading_is_repeated_with_our_clock() -> None:
    clock = FakeClock()
    busy = refused("RequestLimitExceeded", 503)
    with ScriptedServer(busy, refused("InternalError", 500), described(instance())) as server:
        assert provider(server.url, clock).get("i-1").state is MachineState.RUNNING
        assert len(server.seen) == 3
    assert clock.slept


def test_a_token_in_use_is_adopted_by_tag() -> None:
    with ScriptedServer(refused("IdempotentParameterMismatch"), described(instance())) as server:
        assert provider(server.url).create(request()).id == "i-1"
        query = sent(server)[1]
        assert (query["Filter.1.Name"], query["Filter.1.Value.1"]) == ("tag:one-token", "t-1")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (described(""), OutcomeUnknown),
        (described(instance("terminated")), TokenSpent),
        (described(instance(tags=MachineTags(owner="other", host_id=7, token="t-1"))), OutcomeUnknown),
    ],
)
def test_a_token_in_use_that_is_not_shown(shown: Scripted, expected: type[ProviderError]) -> None:
    with ScriptedServer(refused("IdempotentParameterMismatch"), shown) as server, pytest.raises(expected):
        provider(server.url).create(request())


def test_an_instance_that_ended_by_itself_is_gone_and_tells_why() -> None:
    reason = "<stateReason><code>Server.InsufficientInstanceCapacity</code><message>Sorry</message></stateReason>"
    with ScriptedServer(described(instance("terminated", more=reason))) as server:
        with pytest.raises(MachineGone, match=r"Server\.InsufficientInstanceCapacity: Sorry") as caught:
            provider(server.url).get("i-1")
        assert caught.value.failure_is_capacity
        assert provider(server.url).list(OWNER) == []


def test_an_instance_we_ended_has_no_failure() -> None:
    reason = "<stateReason><code>Client.UserInitiatedShutdown</code><message>User initiated</message></stateReason>"
    with ScriptedServer(described(instance("shutting-down", more=reason))) as server:
        machine = provider(server.url).get("i-1")
    assert (machine.state, machine.failure) == (MachineState.DELETING, "")


def test_an_instance_is_read_whole() -> None:
    more = (
        "<ipAddress>203.0.113.7</ipAddress><privateIpAddress>10.0.0.7</privateIpAddress><networkInterfaceSet><item>"
        "<ipv6AddressesSet><item><ipv6Address>2001:db8::7</ipv6Address></item></ipv6AddressesSet></item></networkInterfaceSet>"
    )
    with ScriptedServer(described(instance(more=more))) as server:
        machine = provider(server.url).get("i-1")
    assert (machine.id, machine.tags, machine.hostname) == ("i-1", TAGS, "edge one")
    assert (machine.plan, machine.place) == ("c5.metal", "eu-1a")
    assert machine.created == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc).timestamp()
    assert [one.address for one in machine.addresses] == ["203.0.113.7", "10.0.0.7", "2001:db8::7"]


def test_lists_follow_the_pages() -> None:
    second = instance().replace("i-1", "i-2")
    with ScriptedServer(described(instance(), token="more"), described(second)) as server:
        assert [one.id for one in provider(server.url).list(OWNER)] == ["i-1", "i-2"]
        assert sent(server)[1]["NextToken"] == "more"


def test_termination_protection_is_a_sentence() -> None:
    protected = pytest.raises(PermanentError, match="switch off termination protection")
    with ScriptedServer(refused("OperationNotPermitted")) as server, protected:
        provider(server.url).delete("i-1")


def console(text: str) -> Scripted:
    output = base64.b64encode(text.encode()).decode()
    return Scripted(body=f"<GetConsoleOutputResponse><output>{output}</output></GetConsoleOutputResponse>")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ("-----BEGIN SSH HOST KEY KEYS-----\n" + KEY, []),
        (f"x\n-----BEGIN SSH HOST KEY KEYS-----\r\n{KEY} root@a\r\n-----END SSH HOST KEY KEYS-----\n", [KEY]),
        (
            "-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa " + "A" * 60 + " old\n-----END SSH HOST KEY KEYS-----\n"
            f"[   12.3] -----BEGIN SSH HOST KEY KEYS-----\n[   12.4] {KEY} root@a\n-----END SSH HOST KEY KEYS-----\n",
            [KEY],
        ),
    ],
)
def test_host_keys_come_from_the_last_boot_on_the_console(text: str, keys: list[str]) -> None:
    with ScriptedServer(console(text)) as server:
        assert provider(server.url).host_keys("i-1") == keys
        assert sent(server)[0]["Latest"] == "true"


def test_an_instance_without_the_latest_console_is_asked_for_the_kept_one() -> None:
    kept = f"-----BEGIN SSH HOST KEY KEYS-----\n{KEY}\n-----END SSH HOST KEY KEYS-----\n"
    with ScriptedServer(refused("UnsupportedOperation"), console(kept)) as server:
        assert provider(server.url).host_keys("i-1") == [KEY]
        assert "Latest" not in sent(server)[1]


def test_reset_stops_waits_and_starts() -> None:
    clock = FakeClock()
    done = Scripted(body="<Response/>")
    answers = (done, described(instance("stopping")), described(instance("stopped")), done)
    with ScriptedServer(*answers) as server:
        provider(server.url, clock).reset("i-1")
        actions = [one["Action"] for one in sent(server)]
    assert actions == ["StopInstances", "DescribeInstances", "DescribeInstances", "StartInstances"]
    assert sum(clock.slept) == 10


def test_reset_does_not_wait_for_ever() -> None:
    answers = (Scripted(body="<Response/>"), described(instance("stopping")))
    with ScriptedServer(*answers) as server, pytest.raises(WrongState, match="does not stop"):
        provider(server.url, poll=300).reset("i-1")


def test_at_debug_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = refused("InvalidParameterValue", message=f"bad {CANARY} {USER_DATA}")
    with ScriptedServer(answer) as server, pytest.raises(PermanentError) as caught:
        provider(server.url).create(request())
    assert CANARY not in str(caught.value) + caplog.text
    assert base64.b64encode(USER_DATA.encode()).decode()[:40] not in caplog.text


def test_a_profile_that_is_not_there_is_a_mistake_of_the_entry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    one = Ec2Provider(entry("ec2", {"region": "eu-1", "profile": "edge"}), clock=FakeClock(), state_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"file ec2-lab\.yaml: .*edge"):
        one.list(OWNER)


def test_no_credentials_at_all_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    settings: dict[str, Setting] = {"region": "eu-1", "instance_role": True, "endpoint": "http://127.0.0.1:9"}
    one = Ec2Provider(entry("ec2", settings), clock=FakeClock(), state_dir=tmp_path)
    with pytest.raises(CredentialsRejected, match="no credentials where the entry says"):
        one.list(OWNER)


def test_an_empty_answer_about_one_instance_is_no_absence() -> None:
    with ScriptedServer(described("")) as server, pytest.raises(TransientError, match="empty answer"):
        provider(server.url).get("i-1")


def test_accounts_share_amazons_description_of_its_api() -> None:
    """Parsed, it takes 23 MB and 0.1 s."""
    one, other = (Ec2Client(provider().entry, FakeClock())._client().meta.service_model.metadata for _ in range(2))
    assert one is other
