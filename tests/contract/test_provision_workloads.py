"""What people run on a provision, and what it brings besides hosts: machines, images, apps, services."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from tests.support.lab import quick_lab
from tests.support.oneprovision import HOSTS_ONLY, created, nothing_left, oneprovision, shown, write
from tests.support.provisions import (
    SMALL,
    Heard,
    HurriedClock,
    entry,
    hosts_are_ready,
    killed_at,
    order,
    quits,
    site_of,
)

from hybrid_drivers.errors import ConfigError, HybridError
from hybrid_drivers.model import Template, Value
from hybrid_drivers.oned.market import export_app
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision import changes, tags
from hybrid_drivers.provision.failures import Failures, Mode, Quit
from hybrid_drivers.provision.objectlist import delete_objects, object_rows
from hybrid_drivers.provision.record import Record, Stage, State
from hybrid_drivers.provision.removal import NotEmpty
from hybrid_drivers.provision.runs import begin, go_on, take_away
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        hosts_are_ready(started)
        entry(started)
        assert started.oneflow_url
        yield started


@pytest.fixture
def site(front_end: Frontend) -> Iterator[Site]:
    with site_of(front_end, HurriedClock()) as made:
        yield made
        front_end.set_knobs({"image_error": "", "image_seconds": 0.05, "vm_fails": "", "vm_seconds": 0.05})
        for known in made.store.known():
            take_away(made, known.id, Heard(), cleanup=True, timeout=5)


def create(site: Site, text: str) -> Record:
    record = go_on(site, begin(site, order(text)).id, quits(), Heard())
    assert record is not None
    return record


def guest(front_end: Frontend, site: Site, record: Record) -> int:
    """Start a virtual machine on the first host of a provision, and return its id."""
    host = record.exists("hosts")[0].number
    front_end.wait_for(lambda: site.oned.host(host).total_cpu > 0)
    number = site.objects.allocate("vm", Template([("NAME", "guest"), ("CPU", "1"), ("MEMORY", "64")]))
    Vms(site.oned).deploy(number, host, enforce=False)
    front_end.wait_for(lambda: Vms(site.oned).get(number).runs)
    return number


def theirs(site: Site, record: Record) -> int:
    """Put an image of somebody's into the provision's image datastore, and return its id."""
    datastore = next(slot.number for slot in record.exists("datastores") if slot.name.endswith("-images"))
    return site.objects.allocate("image", Template([("NAME", "theirs"), ("PATH", "/var/x")]), datastore_id=datastore)


# --- deleting ---------------------------------------------------------------------------------------------------------


def test_delete_names_what_would_be_lost_and_changes_nothing(front_end: Frontend, site: Site) -> None:
    record = create(site, SMALL)
    vm, image = guest(front_end, site, record), theirs(site, record)
    with pytest.raises(NotEmpty) as caught:
        take_away(site, record.id, Heard(), cleanup=False, timeout=5)
    assert f"virtual machines are on its hosts: {vm} " in str(caught.value)
    assert f"images are in its datastores: {image} " in str(caught.value)
    assert site.store.read(record.id).state is State.RUNNING
    assert len(site.oned.hosts()) == 2
    take_away(site, record.id, Heard(), cleanup=True, timeout=5)
    assert (site.oned.vms(), site.objects.pool("image"), site.oned.hosts(), site.store.known()) == ([], [], [], [])


def test_a_machine_that_does_not_go_is_told_and_the_next_run_goes_on(front_end: Frontend, site: Site) -> None:
    record = create(site, SMALL)
    vm = guest(front_end, site, record)
    front_end.set_knobs({"vm_seconds": 3.0})
    with pytest.raises(HybridError, match=rf"virtual machines {vm} are still there after 1 s"):
        take_away(site, record.id, Heard(), cleanup=True, timeout=1)
    assert site.store.read(record.id).state is State.DELETING
    assert len(site.oned.hosts()) == 2
    with pytest.raises(ConfigError, match="is being deleted"):
        go_on(site, record.id, quits(), Heard())
    take_away(site, record.id, Heard(), cleanup=True, timeout=10)
    assert (site.oned.hosts(), site.store.known()) == ([], [])


def test_hosts_with_guests_are_neither_scaled_away_nor_deleted(front_end: Frontend, site: Site) -> None:
    record = create(site, SMALL)
    vm = guest(front_end, site, record)
    busy, idle = (slot.number for slot in record.exists("hosts"))
    changes.scale(site, record.id, 1, quits(), Heard())
    assert [host.id for host in site.oned.hosts()] == [busy]
    with pytest.raises(ConfigError, match="move those of edge-0 first"):
        changes.scale(site, record.id, 0, quits(), Heard())
    sentence = f"virtual machines are on edge-0 (id {busy}): 'oneprovision vm-move' moves them; no host was given back"
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        changes.remove_hosts(site, record.id, [busy], Heard())
    assert [host.id for host in site.oned.hosts()] == [busy]
    assert site.store.read(record.id).leaving == []
    Vms(site.oned).action(vm, "terminate-hard")
    front_end.wait_for(lambda: not site.oned.vms())
    changes.remove_hosts(site, record.id, [busy], Heard())
    assert (site.oned.hosts(), idle != busy) == ([], True)


def test_hosts_are_given_back_all_or_none(front_end: Frontend, site: Site) -> None:
    record = create(site, SMALL)
    guest(front_end, site, record)
    with pytest.raises(ConfigError, match="virtual machines are on edge-0"):
        changes.remove_hosts(site, record.id, [slot.number for slot in reversed(record.exists("hosts"))], Heard())
    assert len(site.oned.hosts()) == 2


def test_machines_elsewhere_that_use_what_would_go_are_named_whatever_is_asked(site: Site) -> None:
    record = create(site, SMALL)
    net, image = record.exists("networks")[0].number, record.exists("images")[0].number
    least = [("CPU", "1"), ("MEMORY", "64")]
    uses: list[tuple[str, Value]] = [("NIC", {"NETWORK_ID": str(net)}), ("DISK", {"IMAGE_ID": str(image)})]
    users = [site.objects.allocate("vm", Template([("NAME", "user"), *least, one])) for one in uses]
    for cleanup in (False, True):
        with pytest.raises(NotEmpty, match=f"elsewhere use its images or networks: {users[0]}, {users[1]}: take those"):
            take_away(site, record.id, Heard(), cleanup=cleanup, timeout=5)
    assert (site.store.read(record.id).state, len(site.oned.hosts())) == (State.RUNNING, 2)
    for one in users:
        Vms(site.oned).action(one, "terminate-hard")
    take_away(site, record.id, Heard(), cleanup=False, timeout=5)


def test_cleanup_ends_machines_in_any_state(front_end: Frontend, site: Site) -> None:
    record, vms = create(site, SMALL), Vms(site.oned)
    failed, off, starting = (guest(front_end, site, record) for _ in range(3))
    first, second = (slot.number for slot in record.exists("hosts"))
    for one in (failed, off):
        vms.action(one, "poweroff-hard")
    front_end.wait_for(lambda: vms.get(failed).powered_off and vms.get(off).powered_off)
    front_end.set_knobs({"vm_fails": "move", "vm_seconds": 0.0})
    vms.migrate(failed, second)
    assert vms.get(failed).failed
    front_end.set_knobs({"vm_fails": "", "vm_seconds": 0.4})
    vms.migrate(starting, second)  # it cannot be ended before that is over
    take_away(site, record.id, Heard(), cleanup=True, timeout=5)
    assert (site.oned.vms(), site.oned.hosts(), first != second) == ([], [], True)


def test_why_a_machine_does_not_go_is_told(front_end: Frontend, site: Site) -> None:
    record = create(site, SMALL)
    vm = guest(front_end, site, record)
    front_end.set_knobs({"vm_seconds": 2.5})
    Vms(site.oned).action(vm, "poweroff-hard")
    with pytest.raises(
        HybridError, match=rf"after 1 s; virtual machine {vm}: .*wrong state SHUTDOWN_POWEROFF.*run delete"
    ):
        take_away(site, record.id, Heard(), cleanup=True, timeout=1)
    assert "wrong state" in site.store.read(record.id).problem


def test_images_that_are_still_fetched_go_too(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"image_seconds": 3600})
    record = create(site, SMALL)
    theirs(site, record)
    front_end.set_knobs({"image_seconds": 0.05})
    with mock.patch("hybrid_drivers.provision.deleting.GONE_LIMIT", 0.3):
        take_away(site, record.id, Heard(), cleanup=True, timeout=5)
    assert (site.objects.pool("image"), site.store.known()) == ([], [])


# --- images -----------------------------------------------------------------------------------------------------------

IMAGE = """
name: pictures
cluster: {name: pictures}
datastores: [{name: pictures-images, type: IMAGE_DS, ds_mad: fs, tm_mad: ssh}]
images:
  - {name: one, path: /var/tmp/one.qcow2, meta: {mode: "640", wait: yes, wait_timeout: 2}}
  - {name: two, path: /var/tmp/two.qcow2}
"""
IMAGES_READY = [("one", 1), ("two", 1)]


def test_an_image_is_waited_for_and_has_its_permissions(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"image_seconds": 0.3})
    record = create(site, IMAGE)
    images = {one.name: one for one in site.objects.pool("image")}
    assert (images["one"].state, images["one"].mode) == (1, 0o640)
    assert {slot.name for slot in record.exists("images")} == {"one", "two"}


def test_an_image_in_error_is_skipped_or_stops_it(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"image_error": "no space left"})
    with pytest.raises(Quit, match=r"image one .* is in error"):
        create(site, IMAGE)
    [known] = site.store.known()
    assert known.summary["STATE"] == "ERROR"
    record = go_on(site, known.id, Failures(modes=(Mode.SKIP,)), Heard())
    assert record is not None
    assert [slot.stage for slot in record.of_kind("images")] == [Stage.SKIPPED, Stage.MADE]


def test_an_image_that_was_in_error_is_made_anew(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"image_error": "no space left"})
    with pytest.raises(Quit):
        create(site, IMAGE)
    front_end.set_knobs({"image_error": ""})
    record = go_on(site, site.store.known()[0].id, quits(), Heard())
    assert record is not None
    assert record.state is State.RUNNING
    front_end.wait_for(lambda: sorted((one.name, one.state) for one in site.objects.pool("image")) == IMAGES_READY)


def test_an_image_that_takes_too_long_is_told_and_waited_for_again(front_end: Frontend, site: Site) -> None:
    front_end.set_knobs({"image_seconds": 1.2})
    with pytest.raises(Quit, match=r"image one .* is not ready after 1 s: wait longer \(--wait-timeout\)"):
        create(site, IMAGE.replace("wait_timeout: 2", "wait_timeout: 1"))
    record = go_on(site, site.store.known()[0].id, quits(), Heard())
    assert record is not None
    assert record.state is State.RUNNING
    assert sorted(one.name for one in site.objects.pool("image")) == ["one", "two"]


@pytest.mark.parametrize("mode", [Mode.RETRY, Mode.CLEANUP])
def test_fail_modes_of_an_image_in_error(front_end: Frontend, site: Site, mode: Mode) -> None:
    front_end.set_knobs({"image_error": "no space left"})
    heard, begins = Heard(), begin(site, order(IMAGE))
    failures = Failures(modes=(mode, Mode.CLEANUP), retries=2)
    assert go_on(site, begins.id, failures, heard) is None
    assert heard.text().count("is in error") == (3 if mode is Mode.RETRY else 1)
    assert (site.store.known(), site.objects.pool("image")) == ([], [])
    assert "pictures" not in [one.name for one in site.oned.clusters()]


def test_an_image_has_the_owner_of_its_meta(front_end: Frontend, site: Site) -> None:
    front_end.store.users[7] = "alice"
    create(site, IMAGE.replace("wait_timeout: 2", "uname: alice, gid: 1"))
    [image] = [one for one in site.objects.pool("image") if one.name == "one"]
    assert (image.uname, image.gname, image.mode) == ("alice", "users", 0o640)


@pytest.mark.parametrize(
    ("meta", "words"),
    [("uname: nobody", "there is no user called 'nobody'"), ("uid: alice", "meta: uid 'alice' is not a number; uname")],
)
def test_owners_that_are_wrong_are_told_and_mended_without_a_second_image(site: Site, meta: str, words: str) -> None:
    with pytest.raises(Quit, match=words):
        create(site, IMAGE.replace("wait_timeout: 2", meta))
    assert [one.name for one in site.objects.pool("image")] == ["one"]


# --- marketplace and services -----------------------------------------------------------------------------------------

BROUGHT = """
name: brought
cluster: {name: brought}
datastores: [{name: brought-images, type: IMAGE_DS, ds_mad: fs, tm_mad: ssh}]
marketplaceapps:
  - {appname: alpine-app, name: alpine, dsid: "${datastore.0.id}"}
templates:
  - {name: after, cpu: 1, memory: 64, disk: {image: "${image.0.name}"}}
flowtemplates:
  - name: service
    deployment: straight
    roles: [{name: worker, cardinality: 1, vm_template: "${template.0.id}"}]
"""


VM = 'CPU="1"\nMEMORY="768"'


@pytest.fixture
def app(front_end: Frontend) -> None:
    """Put apps into the marketplace: an image, one with a VM template, and a template of two."""
    if not front_end.store.apps:
        front_end.store.add_app("bare-app")
        for name in ("alpine-app", "data-app"):
            front_end.store.add_app(name, attributes={"VMTEMPLATE64": VM})
        pair = front_end.store.add_app("pair-app", "VMTEMPLATE", attributes={"APPTEMPLATE64": VM})
        pair.template.add([("DISK", {"NAME": "root", "APP": "alpine-app"}), ("DISK", {"NAME": "x", "APP": "data-app"})])


def brought(site: Site) -> tuple[list[str], list[str]]:
    images, templates = site.objects.pool("image"), site.objects.pool("template")
    return sorted(one.name for one in images), sorted(one.name for one in templates)


@pytest.mark.usefixtures("app")
def test_apps_and_services_are_the_provisions_own(site: Site) -> None:
    record = create(site, BROUGHT)
    assert brought(site) == (["alpine"], ["after", "alpine"])
    for kind in ("image", "template"):
        tagged = [tags.provision_id(one.template) for one in site.objects.pool(kind)]
        assert set(tagged) == {record.id}
    [service] = site.flow().service_templates()
    assert (service.name, service.provision) == ("service", record.id)
    assert [row.name for row in object_rows(site, "flowtemplates")] == ["service"]
    delete_objects(site, "flowtemplates", ["service"], Heard())
    assert site.flow().service_templates() == []
    take_away(site, record.id, Heard(), cleanup=False, timeout=5)
    assert brought(site) == ([], [])


FIRST = 12  # the change in oned with which the export begins
EXPORTS = {
    "bare-app": (["alpine"], ["after"]),
    "alpine-app": (["alpine"], ["after", "alpine"]),
    "pair-app": (["alpine-root-0", "alpine-x-1"], ["after", "alpine"]),
}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("name", "before"),
    [
        pytest.param(
            name, before, id=f"{name}-{'before' if before else 'after'}", marks=() if one else pytest.mark.long
        )
        for name in EXPORTS
        for before, one in ((False, True), (True, name == "pair-app"))  # before: with the one that makes most
    ],
)
def test_an_export_killed_anywhere_is_made_once_and_finished(
    front_end: Frontend, site: Site, name: str, before: bool
) -> None:
    """Images take their time, so half an export is still being fetched when it is taken away."""
    front_end.set_knobs({"image_seconds": 0.06})
    text = BROUGHT.replace("alpine-app", name).replace(
        '"${datastore.0.id}"}', '"${datastore.0.id}", meta: {mode: "640"}}'
    )
    for at in range(FIRST - 1, 40):
        ended = False
        with killed_at(site, at, before=before):
            create(site, text)
            ended = True
        for known in site.store.known():
            if known.summary["STATE"] != "RUNNING":
                go_on(site, known.id, quits(), Heard())
        assert brought(site) == EXPORTS[name], at
        assert {one.mode for one in site.objects.pool("image")} == {0o640}, at
        tagged = [tags.index(one.template) for kind in ("image", "template") for one in site.objects.pool(kind)]
        assert None not in tagged, at
        assert len(site.flow().service_templates()) == 1, at
        [known] = site.store.known()
        take_away(site, known.id, Heard(), cleanup=False, timeout=5)
        assert (brought(site), site.flow().service_templates()) == (([], []), []), at
        if ended:
            assert at > FIRST + 6
            return
    pytest.fail("there are more changes than this test looks at")


@pytest.mark.usefixtures("app")
def test_a_provision_killed_in_an_export_is_deleted_with_all_of_it(site: Site) -> None:
    for at in range(FIRST, FIRST + 6):
        with killed_at(site, at, before=False):
            create(site, BROUGHT.replace("alpine-app", "pair-app"))
        take_away(site, site.store.known()[0].id, Heard(), cleanup=False, timeout=5)
        assert brought(site) == ([], []), at


@pytest.mark.usefixtures("app")
def test_what_others_export_under_such_a_name_meanwhile_is_left_alone(site: Site) -> None:
    with killed_at(site, FIRST + 1, before=True):
        create(site, BROUGHT)
    stranger = export_app(site.objects, "alpine-app", "alpine2", 1)
    record = go_on(site, site.store.known()[0].id, quits(), Heard())
    assert record is not None
    assert brought(site) == (["alpine", "alpine2"], ["after", "alpine", "alpine2"])
    take_away(site, record.id, Heard(), cleanup=False, timeout=5)
    assert brought(site) == (["alpine2"], ["alpine2"])
    site.objects.delete("template", stranger.template_ids[0])
    site.objects.delete("image", stranger.image_ids[0], force=True)


@pytest.mark.usefixtures("app")
def test_an_app_whose_image_ends_in_error_is_exported_anew(front_end: Frontend, site: Site) -> None:
    text = BROUGHT.replace('"${datastore.0.id}"}', '"${datastore.0.id}", meta: {wait: yes}}')
    front_end.set_knobs({"image_error": "no space left"})
    with pytest.raises(Quit, match=r"marketplace app 0: image alpine .* is in error"):
        create(site, text)
    front_end.set_knobs({"image_error": ""})
    record = go_on(site, site.store.known()[0].id, quits(), Heard())
    assert record is not None
    assert brought(site) == (["alpine"], ["after", "alpine"])
    assert [one.state for one in site.objects.pool("image")] == [1]


# --- as people do it --------------------------------------------------------------------------------------------------


def test_rented_hosts_with_a_guest_are_kept_until_it_has_gone_away(tmp_path: Path) -> None:
    """The real executable, agent and provider: refusals, a move away, and a cleanup that leaves nothing."""
    text = HOSTS_ONLY + "datastores: [{name: edge-system, type: SYSTEM_DS, tm_mad: local}]\n"
    with quick_lab() as lab:
        number = created(lab, write(tmp_path, text))
        hosts = {one["NAME"]: one["ID"] for one in shown(lab, number)["HOSTS"]}
        vms, least = Vms(lab.oned), [("CPU", "1"), ("MEMORY", "64")]
        guests = [lab.objects.allocate("vm", Template([("NAME", name), *least])) for name in ("web", "db")]
        for one, host in zip(guests, hosts.values(), strict=True):
            vms.deploy(one, int(host))
        lab.wait(lambda: all(vms.get(one).runs for one in guests))
        for words, part in (
            (
                ("delete", number),
                f"virtual machines are on its hosts: {guests[0]}, {guests[1]} ('oneprovision vm-move'",
            ),
            (
                ("scale", number, "1", "--yes"),
                "only 0 are without virtual machines: move those of edge-0, edge-1 first",
            ),
            (("host", "delete", "edge-1"), "'oneprovision vm-move' moves them; no host was given back"),
        ):
            done = oneprovision(lab, *words)
            assert (done.returncode, part in done.stderr) == (255, True), done.stderr
        assert (len(lab.alive()), shown(lab, number)["STATE"]) == (2, "RUNNING")

        moved = oneprovision(lab, "vm-move", "db", "--to", "edge-0")
        assert moved.returncode == 0, moved.stderr
        assert moved.stdout == f"virtual machine {guests[1]} 'db' is on host edge-0 (id {hosts['edge-0']}) and runs\n"
        done = oneprovision(lab, "host", "delete", "edge-1")
        assert done.returncode == 0, done.stderr
        done = oneprovision(lab, "delete", number, "--cleanup")
        assert done.returncode == 0, done.stderr
        assert (vms.pool(), nothing_left(lab)) == ([], True)
