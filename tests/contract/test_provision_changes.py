"""``oneprovision`` on provisions that are there: scale, host, diff, apply, power, configure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.lab import LIMIT, quick_lab
from tests.support.oneprovision import HOSTS_ONLY, as_it_was, created, oneprovision, shown, write
from tests.support.provisions import SMALL

from hybrid_drivers.sandbox.lab import Lab


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with quick_lab() as made:
        yield made


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    with as_it_was(shared) as made:
        yield made


def test_scale_up_and_down(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, HOSTS_ONLY))
    assert oneprovision(lab, "scale", number, "4").returncode == 0
    assert len(lab.alive()) == 4
    names = [one["NAME"] for one in shown(lab, number)["HOSTS"]]
    assert len(set(names)) == 4
    refused = oneprovision(lab, "scale", number, "1")
    assert (refused.returncode, "--yes" in refused.stderr) == (255, True)
    assert oneprovision(lab, "scale", number, "1", "--yes").returncode == 0
    lab.wait(lambda: len(lab.alive()) == 1, LIMIT)
    assert [one["NAME"] for one in shown(lab, number)["HOSTS"]] == [names[0]]
    assert oneprovision(lab, "diff", number).returncode == 0


def test_hosts_are_added_and_deleted_by_name(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, HOSTS_ONLY))
    done = oneprovision(
        lab, "host", "add", number, "--amount", "2", "--hostnames", "big1,big2", "--host-params", "plan=m3.large.x86"
    )
    assert done.returncode == 0, done.stderr
    rows = oneprovision(lab, "host", "list", "--csv", "--list", "name,plan,stat", "--no-header").stdout.splitlines()
    assert rows[2:] == ["big1,m3.large.x86,READY", "big2,m3.large.x86,READY"]
    assert oneprovision(lab, "host", "delete", "big1", "edge-0").returncode == 0
    assert [one["NAME"] for one in shown(lab, number)["HOSTS"]] == ["edge-1", "big2"]
    assert len(lab.alive()) == 2
    strange = oneprovision(lab, "host", "delete", "nobody")
    assert (strange.returncode, strange.stderr) == (
        255,
        "Error: no provision has a host 'nobody': 'oneprovision host list' shows them\n",
    )


def test_diff_and_apply_bring_it_to_another_template(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, SMALL))
    changed = SMALL.replace("memory: 128", "memory: 256").replace("count: 2", "count: 3")
    changed = changed.replace("type: IP4}]\nhosts", "type: IP4}, {ip: 10.9.0.2, size: 3, type: IP4}]\nhosts")
    changed = changed[: changed.index("vntemplates")]
    file = write(tmp_path, changed, "changed.yaml")
    told = oneprovision(lab, "diff", number, file, "--json")
    assert told.returncode == 2, told.stderr
    assert [(one["change"], one["kind"], one["name"]) for one in json.loads(told.stdout)] == [
        ("update", "networks", "small-net"),
        ("add", "hosts", "edge-2"),
        ("update", "templates", "small-vm"),
        ("remove", "vntemplates", "small-vnt"),
    ]
    refused = oneprovision(lab, "apply", number, file)
    assert (refused.returncode, "nothing was changed" in refused.stderr) == (255, True)
    assert oneprovision(lab, "diff", number).returncode == 0
    done = oneprovision(lab, "apply", number, file, "--yes")
    assert done.returncode == 0, done.stderr
    assert len(lab.alive()) == 3
    assert "small-vnt" not in oneprovision(lab, "vntemplate", "list").stdout
    for words in ((number,), (number, file)):
        assert oneprovision(lab, "diff", *words).stdout == "nothing differs\n"


def test_what_cannot_be_changed_in_place_is_replaced_only_when_asked_for(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, HOSTS_ONLY))
    before = {str(one["id"]) for one in lab.alive()}
    file = write(tmp_path, HOSTS_ONLY.replace("c3.small.x86", "m3.large.x86"), "changed.yaml")
    assert "PLAN: c3.small.x86 -> m3.large.x86" in oneprovision(lab, "diff", number, file).stdout
    refused = oneprovision(lab, "apply", number, file, "--yes")
    assert (refused.returncode, "--replace" in refused.stderr) == (255, True)
    assert {str(one["id"]) for one in lab.alive()} == before
    assert oneprovision(lab, "apply", number, file, "--yes", "--replace").returncode == 0
    lab.wait(lambda: len(lab.alive()) == 2, LIMIT)
    assert before.isdisjoint({str(one["id"]) for one in lab.alive()})


def test_a_host_that_somebody_deleted_is_told_and_made_again(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, HOSTS_ONLY))
    lab.oned.delete_host(shown(lab, number)["HOSTS"][0]["ID"])
    told = oneprovision(lab, "diff", number)
    assert (told.returncode, "deleted outside of the provision" in told.stdout) == (2, True)
    assert oneprovision(lab, "apply", number, "--yes").returncode == 0
    lab.wait(lambda: len(lab.alive()) == 2, LIMIT)
    assert {one["STATE"] for one in shown(lab, number)["HOSTS"]} == {"READY"}


def test_power_and_configuration_of_hosts(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, HOSTS_ONLY))
    host_id = shown(lab, number)["HOSTS"][0]["ID"]
    assert oneprovision(lab, "host", "poweroff", "edge-0").returncode == 0
    assert sorted(str(one["state"]) for one in lab.alive()) in (["active", "inactive"], ["active", "powering_off"])
    assert lab.host(host_id).state.name == "OFFLINE"
    lab.wait(lambda: "inactive" in [one["state"] for one in lab.alive()], LIMIT)
    assert oneprovision(lab, "host", "resume", str(host_id)).returncode == 0
    lab.wait(lambda: {one["state"] for one in lab.alive()} == {"active"}, LIMIT)
    lab.wait(lambda: lab.host(host_id).total_cpu > 0, LIMIT)
    assert oneprovision(lab, "host", "reboot", "--hard", "edge-1").returncode == 0
    done = oneprovision(lab, "configure", number)
    assert done.returncode == 0, done.stderr
