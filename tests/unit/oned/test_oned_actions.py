"""What argv and standard input of each executable mean."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tests.unit.oned.replay import DATA, body

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned import actions
from hybrid_drivers.oned.actions import (
    Cancel,
    Deploy,
    OnMachine,
    Poll,
    PowerOn,
    Reboot,
    Reset,
    Shutdown,
    StartMonitor,
    StopMonitor,
    parse,
)
from hybrid_drivers.oned.process import Call

INDEX = {one["name"]: one for one in json.loads((DATA / "actions/index.json").read_text())}
REMOTES = Path(__file__).parents[3] / "remotes"


def im(name: str, argv: list[str] | None = None, stdin: bytes | None = None) -> Call:
    given = base64.b64encode((DATA / f"actions/{name}.xml").read_bytes()) + b"\n"
    return Call(
        family="im",
        driver="provision",
        action="monitord-client_control",
        argv=tuple(INDEX[name]["argv"] if argv is None else argv),
        stdin=given if stdin is None else stdin,
    )


def pm(action: str, *argv: str) -> Call:
    return Call(family="pm", driver="packet", action=action, argv=argv)


def test_recorded_start_and_stop_calls() -> None:
    started, stopped = parse(im("im.start_monitor")), parse(im("im.stop_monitor"))
    assert isinstance(started, StartMonitor)
    assert isinstance(stopped, StopMonitor)
    for one in (started, stopped):
        assert (one.host_id, one.host_name, one.configuration.port) == (6, "edge9", 4124)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "was called with 0 arguments, expected [stop] provision <host id> <host name>"),
        (["stop"], "was called with 1 arguments"),
        (["provision", "6"], "was called with 2 arguments"),
        (["provision", "six", "edge9"], "the host id 'six' is not a number"),
        (["provision", "-6", "edge9"], "the host id '-6' is not a number"),
        (["provision", "7", "edge9"], "called for host 7, but its standard input is of host 6"),
    ],
)
def test_other_monitor_calls_are_named(argv: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(im("im.start_monitor", argv))
    assert says in str(caught.value)
    assert str(caught.value).startswith("im/provision/monitord-client_control")


@pytest.mark.parametrize("stdin", [b"", b"garbage", b"\x00\xff", base64.b64encode(b"<HOST/>")])
def test_garbage_on_standard_input_is_one_sentence(stdin: bytes) -> None:
    with pytest.raises(ConfigError, match=r"^standard input \(MONITOR_CONFIGURATION\) is") as caught:
        parse(im("im.start_monitor", stdin=stdin))
    assert "\n" not in str(caught.value)


def test_deploy_makes_a_machine_or_switches_it_on(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("<HOST><NAME>edge1</NAME><TEMPLATE><PROVISION><PLAN>p</PLAN></PROVISION></TEMPLATE></HOST>")
    old.write_text(body("host.info.with_provision"))
    made = parse(pm("deploy", str(new), "TODO"))
    assert isinstance(made, Deploy)
    assert (made.driver, made.file.name) == ("packet", "edge1")
    on = parse(pm("deploy", str(old), "edge-x", "7", "edge-x"))
    assert isinstance(on, PowerOn)
    assert (on.deploy_id, on.host_id, on.driver) == ("abc", 7, "packet")
    short = parse(pm("deploy", str(old), "edge-x"))
    assert isinstance(short, PowerOn)
    assert short.host_id == 7


def test_deploy_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'host\.xml' must be absolute"):
        parse(pm("deploy", "host.xml", "x"))
    with pytest.raises(ConfigError, match="absent cannot be read: No such file"):
        parse(pm("deploy", str(tmp_path / "absent"), "x"))
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        parse(pm("deploy", str(tmp_path), "x"))
    (tmp_path / "bad").write_text("PROVISION=[TOKEN=s3cret]")
    with pytest.raises(ConfigError, match="bad is not XML") as caught:
        parse(pm("deploy", str(tmp_path / "bad"), "x"))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ConfigError, match="called with 1 arguments"):
        parse(pm("deploy", str(tmp_path / "bad")))


@pytest.mark.parametrize(
    ("action", "kind"), [("cancel", Cancel), ("reboot", Reboot), ("reset", Reset), ("poll", Poll)], ids=str
)
def test_actions_on_a_machine(action: str, kind: type[OnMachine]) -> None:
    read = parse(pm(action, "i-0abc", "edge1", "7", "edge1"))
    assert read == kind(driver="packet", deploy_id="i-0abc", host_id=7, host_name="edge1")
    assert type(read) is kind
    for argv in ([], ["i-0abc"], ["i-0abc", "edge1", "7"], ["i-0abc", "a", "b", "c", "d"]):
        with pytest.raises(ConfigError, match=f"pm/packet/{action} was called with {len(argv)} arguments"):
            parse(pm(action, *argv))
    for bad in ("", "with blank", "line\n", "x" * 257):
        with pytest.raises(ConfigError, match="deploy id is empty, too long or holds blanks"):
            parse(pm(action, bad, "edge1", "7", "edge1"))
    with pytest.raises(ConfigError, match="host id 'edge1' is not a number"):
        parse(pm(action, "i-0abc", "edge1", "edge1", "7"))


def test_shutdown_says_how() -> None:
    read = parse(pm("shutdown", "i-0abc", "edge1", "SHUTDOWN_POWEROFF", "7", "edge1"))
    assert read == Shutdown(driver="packet", deploy_id="i-0abc", host_id=7, host_name="edge1")
    for argv in (["i-0abc", "edge1", "7", "edge1"], ["i-0abc", "edge1", "SHUTDOWN", "7", "edge1"]):
        with pytest.raises(ConfigError, match=r"expected <deploy id> <name> SHUTDOWN_POWEROFF <host id> <name>"):
            parse(pm("shutdown", *argv))


@pytest.mark.parametrize(("family", "action"), [("pm", "explode"), ("vnm", "cancel"), ("", ""), ("im", "deploy")])
def test_actions_that_do_not_exist_are_named(family: str, action: str) -> None:
    with pytest.raises(ConfigError, match=f"have no action '{action}' in '{family}'"):
        parse(Call(family=family, driver="packet", action=action))


def test_every_executable_of_these_families_has_its_action_and_the_other_way_round() -> None:
    installed = {
        (path.relative_to(REMOTES).parts[0], path.stem)
        for family in ("im", "pm")
        for path in (REMOTES / family).rglob("*")
        if path.is_file()
    }
    assert installed == set(actions.ACTIONS)
