"""``oneprovision`` as people use it: the real executable, agent and provider client, on the sandbox."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.lab import LIMIT, no_secret_came_out, quick_lab
from tests.support.oneprovision import HOSTS_ONLY, as_it_was, created, nothing_left, oneprovision, shown, write
from tests.support.provisions import SMALL

from hybrid_drivers.model import Template
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.packet_api import PacketSimulator


@pytest.fixture(scope="module")
def shared() -> Iterator[Lab]:
    with quick_lab() as made:
        yield made


@pytest.fixture
def lab(shared: Lab) -> Iterator[Lab]:
    with as_it_was(shared) as made:
        yield made


# --- the way of a provision -------------------------------------------------------------------------------------------


def test_a_whole_cluster_comes_and_goes(lab: Lab, tmp_path: Path) -> None:
    made_before = lab.made()
    number = created(lab, write(tmp_path, SMALL))
    found = shown(lab, "small")
    assert (str(found["ID"]), found["STATE"], found["PROVIDER"]) == (number, "RUNNING", "packet-ams")
    assert [one["NAME"] for one in found["HOSTS"]] == ["edge-0", "edge-1"]
    assert {one["STATE"] for one in found["HOSTS"]} == {"READY"}
    assert [one["NAME"] for one in found["DATASTORES"]] == ["small-images", "small-system"]
    listed = oneprovision(lab, "list", "--csv", "--list", "name,clusters,hosts,ready,networks,datastores,stat").stdout
    assert listed.splitlines() == ["NAME,CLUSTERS,HOSTS,READY,NETWORKS,DATASTORES,STAT", "small,1,2,2,1,2,RUNNING"]
    told = oneprovision(lab, "events", number).stdout
    assert "created" in told
    assert "host edge-1 (id" in told
    for kind, name in (("vnet", "small-net"), ("image", "small-image"), ("vntemplate", "small-vnt")):
        assert name in oneprovision(lab, kind, "list").stdout
    assert len(lab.alive()) == 2
    done = oneprovision(lab, "delete", "small")
    assert (done.returncode, done.stdout) == (0, f"provision {number} 'small' is deleted; no machine of it is left\n")
    assert lab.made() - made_before == 2
    assert nothing_left(lab)


def test_create_again_goes_on_or_says_why_not(lab: Lab, tmp_path: Path) -> None:
    file = write(tmp_path, HOSTS_ONLY)
    number = created(lab, file)
    again = oneprovision(lab, "create", file)
    assert (again.returncode, again.stdout) == (255, "")
    assert f"provision {number} 'small' exists and is running" in again.stderr
    nameless = write(tmp_path, HOSTS_ONLY + "cluster: {name: other}\n", "other.yaml")
    other = created(lab, nameless, "--name", "second", "--skip-provision")
    assert shown(lab, other)["HOSTS"] == []
    assert len(lab.alive()) == 2


def test_a_tool_killed_in_the_middle_is_gone_on_with_by_the_same_command(lab: Lab, tmp_path: Path) -> None:
    lab.simulator.knobs.change({"provisioning": 12})
    made_before = lab.made()
    file = write(tmp_path, HOSTS_ONLY)
    command = ["oneprovision", "create", file]
    with subprocess.Popen(
        command, env={**lab.frontend.environment, "LANG": "C.UTF-8"}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as running:
        lab.wait(lambda: len(lab.alive()) == 2, LIMIT)
        second = oneprovision(lab, "create", file)
        assert second.returncode == 255
        assert f"(process {running.pid}, create)" in second.stderr
        assert "is being worked on by" in second.stderr
        running.kill()
    number = created(lab, file)
    assert shown(lab, number)["STATE"] == "RUNNING"
    assert lab.made() - made_before == 2


def test_dry_run_tells_what_it_costs_and_makes_nothing(lab: Lab, tmp_path: Path) -> None:
    made_before = lab.made()
    done = oneprovision(lab, "create", write(tmp_path, SMALL), "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    hosts = [one for one in told["objects"] if one["kind"] == "hosts"]
    assert [(one["provider"], one["plan"], one["place"]) for one in hosts] == [("packet-ams", "c3.small.x86", "am")] * 2
    assert told["per_hour"]["USD"] == pytest.approx(2 * hosts[0]["price"])
    assert hosts[0]["price"] > 0
    people = oneprovision(lab, "create", write(tmp_path, SMALL), "--dry-run").stdout
    assert "small-net" in people
    assert "USD an hour" in people
    assert (lab.made(), lab.oned.documents(703), lab.oned.hosts()) == (made_before, [], [])


# --- failures ---------------------------------------------------------------------------------------------------------


def test_quit_leaves_everything_and_resume_goes_on(lab: Lab, tmp_path: Path) -> None:
    lab.simulator.knobs.change({"quota": 1})
    file = write(tmp_path, HOSTS_ONLY)
    done = oneprovision(lab, "create", file, "--batch")
    assert done.returncode == 255
    number = done.stdout.splitlines()[0].removeprefix("ID: ")
    assert done.stdout.splitlines()[-1] == f"ID: {number}"
    assert f"'oneprovision resume {number}' goes on" in done.stderr
    found = shown(lab, number)
    assert found["STATE"] == "ERROR"
    assert "maximum number of devices" in found["PROBLEM"]
    lab.simulator.knobs.change({"quota": 0})
    assert oneprovision(lab, "resume", number).returncode == 0
    assert shown(lab, number)["STATE"] == "RUNNING"
    assert len(lab.alive()) == 2


def test_skip_leaves_one_host_out_and_gives_it_back(lab: Lab, tmp_path: Path) -> None:
    lab.simulator.knobs.change({"quota": 1})
    number = created(lab, write(tmp_path, HOSTS_ONLY), "--batch", "--fail-retry", "1", "--fail-skip")
    found = shown(lab, number)
    assert (found["STATE"], len(found["HOSTS"])) == ("RUNNING", 1)
    assert found["PROBLEM"].startswith("left out: host edge-")
    assert len(lab.oned.hosts()) == 1
    lab.simulator.knobs.change({"quota": 0})
    assert oneprovision(lab, "scale", number, "2").returncode == 0
    assert len(lab.alive()) == 2


def test_cleanup_takes_everything_away(lab: Lab, tmp_path: Path) -> None:
    lab.simulator.knobs.change({"quota": 1})
    done = oneprovision(lab, "create", write(tmp_path, SMALL), "--fail-cleanup")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (255, "ID: -1")
    assert "taken away again" in done.stderr
    assert nothing_left(lab)


@pytest.mark.parametrize("name", ["small", "${provision}", "<%= @name %>"])
def test_a_name_that_is_taken_is_told_before_anything_is_made(lab: Lab, tmp_path: Path, name: str) -> None:
    other = lab.oned.allocate_cluster("small")
    template = SMALL.replace("cluster: {name: small}", f"cluster: {{name: '{name}'}}")
    try:
        done = oneprovision(lab, "create", write(tmp_path, template))
        assert (done.returncode, done.stdout) == (255, "")
        assert f"template.yaml:6: cluster.name: cluster {other} is already called 'small'" in done.stderr
    finally:
        lab.oned.delete_cluster(other)
    assert lab.oned.documents(703) == []


def test_inputs_of_a_provider_that_are_wrong_are_told(lab: Lab, tmp_path: Path) -> None:
    entry = lab.write_entry("odd", {**lab.entry(), "inputs": [{"name": "size", "type": "fruit"}]})
    file = write(tmp_path, HOSTS_ONLY.replace("packet-ams", "odd"))
    for command in ("create", "validate"):
        done = oneprovision(lab, command, file)
        assert (done.returncode, done.stdout) == (255, "")
        assert "provider odd: inputs.0.type" in done.stderr
    entry.unlink()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_delete_refuses_while_others_would_lose_something(lab: Lab, tmp_path: Path) -> None:
    number = created(lab, write(tmp_path, SMALL))
    found = shown(lab, number)
    cluster, datastore = found["CLUSTERS"][0]["ID"], found["DATASTORES"][0]["ID"]
    objects = Objects(lab.oned)
    objects.allocate("image", Template([("NAME", "theirs"), ("PATH", "/var/tmp/x")]), datastore_id=datastore)
    stranger = lab.oned.allocate_host("stranger", "kvm", "kvm", cluster)
    done = oneprovision(lab, "delete", number)
    assert done.returncode == 255
    assert "images are in its datastores" in done.stderr
    assert f"holds host {stranger}, not made by it" in done.stderr
    assert (shown(lab, number)["STATE"], len(lab.alive())) == ("RUNNING", 2)
    lab.oned.delete_host(stranger)
    assert oneprovision(lab, "delete", number).returncode == 255
    done = oneprovision(lab, "delete", number, "--cleanup")
    assert done.returncode == 0, done.stderr
    assert nothing_left(lab)


def test_words_that_name_nothing(lab: Lab) -> None:
    for words in (("show", "nobody"), ("delete", "99"), ("resume", "x"), ("scale", "nobody", "3"), ("diff", "7")):
        done = oneprovision(lab, *words)
        assert (done.returncode, done.stdout) == (255, ""), words
        assert done.stderr.startswith("Error: there is no provision '"), done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert oneprovision(lab, "frobnicate").returncode == 255


# --- templates of OneProvision's --------------------------------------------------------------------------------------


@pytest.fixture
def passing() -> Iterator[Lab]:
    """A laboratory that goes with all that is in it: inline credentials have the limits of real providers."""
    with quick_lab() as made:
        yield made
        no_secret_came_out(made)


def test_a_template_of_5_12_with_its_credentials_inline(passing: Lab, tmp_path: Path) -> None:
    lab = passing
    assert isinstance(lab.simulator, PacketSimulator)
    secret = lab.simulator.token
    text = f"""
        name: old
        playbook: dummy
        defaults:
          provision:
            driver: packet
            packet_token: {secret}
            packet_project: {lab.simulator.project}
            packet_endpoint: {lab.simulator.url}
            facility: ams1
            plan: c3.small.x86
            os: debian_12
          connection: {{remote_user: root, remote_port: {lab.machines.ssh_port}}}
        cluster: {{name: <%= @name %>}}
        hosts:
          - reserved_cpu: 100
            im_mad: kvm
            vm_mad: kvm
            provision: {{hostname: "old-1"}}
        networks:
          - name: <%= @name %>-net
            vn_mad: dummy
            bridge: br<%= @clusters[0]['ID'] %>
            ar: [{{ip: 10.0.0.2, size: 2, type: IP4}}]
        """
    file = write(tmp_path, text)
    masked = oneprovision(lab, "validate", file, "--dump")
    assert masked.returncode == 0, masked.stderr
    assert secret not in masked.stdout
    number = created(lab, file)
    [host] = lab.oned.hosts()
    assert host.template.text("RESERVED_CPU") == "100"
    assert "PACKET_TOKEN" not in host.template.vector("PROVISION")
    assert host.template.vector("PROVISION")["PROVIDER"].startswith("inline-")
    found = oneprovision(lab, "show", number, "--json").stdout + oneprovision(lab, "show", number).stdout
    assert secret not in found
    assert secret not in json.dumps([one.body for one in lab.oned.documents(703)])
    vnet = next(one for one in lab.frontend.call("one.vnpool.info", -2, -1, -1) if isinstance(one, str))
    assert f"<BRIDGE><![CDATA[br{host.cluster_id}]]></BRIDGE>" in vnet
