"""What people run on a provision, and what it brings besides hosts: machines, images, apps, services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
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
from hybrid_drivers.model import Template
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
    with pytest.raises(HybridError, match="running VMs"):
        changes.remove_hosts(site, record.id, [busy], Heard())
    assert [host.id for host in site.oned.hosts()] == [busy]
    assert site.store.read(record.id).leaving == []
    Vms(site.oned).action(vm, "terminate-hard")
    front_end.wait_for(lambda: not site.oned.vms())
    changes.remove_hosts(site, record.id, [busy], Heard())
    assert (site.oned.hosts(), idle != busy) == ([], True)


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


@pytest.fixture
def app(front_end: Frontend) -> None:
    if not front_end.store.apps:
        front_end.store.add_app("alpine-app")


def brought(site: Site) -> tuple[list[str], list[str]]:
    images, templates = site.objects.pool("image"), site.objects.pool("template")
    return sorted(one.name for one in images), sorted(one.name for one in templates)


@pytest.mark.usefixtures("app")
def test_apps_and_services_are_the_provisions_own(site: Site) -> None:
    record = create(site, BROUGHT)
    images, _ = brought(site)
    assert len(images) == 1
    assert images[0].startswith("alpine")
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


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_an_export_killed_half_way_is_not_made_twice(site: Site, before: bool) -> None:
    for at in range(3, 40):
        ended = False
        with killed_at(site, at, before=before):
            create(site, BROUGHT)
            ended = True
        for known in site.store.known():
            if known.summary["STATE"] != "RUNNING":
                go_on(site, known.id, quits(), Heard())
        images, templates = brought(site)
        assert len(images) == 1, at
        assert len(templates) == len(set(templates)), at
        assert len(site.flow().service_templates()) == 1, at
        [known] = site.store.known()
        take_away(site, known.id, Heard(), cleanup=False, timeout=5)
        assert (brought(site), site.flow().service_templates()) == (([], []), []), at
        if ended:
            return
    pytest.fail("there are more changes than this test looks at")
