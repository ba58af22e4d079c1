"""Exporting marketplace apps, against the stand-in's marketplace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_drivers.config import Location
from hybrid_drivers.errors import AllocateRefused, ConfigError, NoSuchObject
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.market import Exported, export_app, find_app
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.sandbox.frontend import Frontend, Knobs

VM = 'CPU="1"\nMEMORY="768"\nGRAPHICS=[LISTEN="0.0.0.0",TYPE="vnc"]'


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None, knobs=Knobs(image_seconds=0)) as running:
        yield running


@pytest.fixture
def objects(frontend: Frontend) -> Objects:
    return Objects(Oned.from_location(Location.from_environment(frontend.environment)))


def test_an_image_becomes_an_image_and_a_template(frontend: Frontend, objects: Objects) -> None:
    told = {"APPTEMPLATE64": 'DEV_PREFIX="sd"\nTYPE="OS"', "VMTEMPLATE64": VM, "VERSION": "1.0"}
    app = frontend.store.add_app("Alpine Linux 3.17", size=256, attributes=told)
    exported = export_app(objects, "Alpine Linux 3.17", "alpine", 1)
    assert exported == Exported(image_ids=(0,), template_ids=(0,))
    image = objects.get("image", 0)
    assert (image.name, image.size, image.datastore_id, image.type) == ("alpine", 256, 1, 0)
    assert image.template.text("DEV_PREFIX") == "sd"
    assert (image.template.text("FROM_APP"), image.template.text("FROM_APP_NAME")) == ("0", app.name)
    template = objects.get("template", 0)
    assert (template.name, template.template.text("MEMORY")) == ("alpine", "768")
    assert template.template.vectors("DISK") == [{"IMAGE_ID": "0"}]
    assert template.template.vector("GRAPHICS")["TYPE"] == "vnc"


def test_an_app_by_its_id_without_a_template(frontend: Frontend, objects: Objects) -> None:
    app = frontend.store.add_app("bare")
    assert export_app(objects, str(app.id), "mine", 1) == Exported(image_ids=(0,), template_ids=())
    assert objects.pool("template") == []


def test_kernels_go_to_a_datastore_for_files(frontend: Frontend, objects: Objects) -> None:
    frontend.store.add_app("kernel", attributes={"APPTEMPLATE64": "TYPE = KERNEL"})
    export_app(objects, "kernel", "vmlinuz", 1)
    assert objects.get("image", 0).datastore_id == 2


def test_a_template_of_several_apps(frontend: Frontend, objects: Objects) -> None:
    for name in ("base", "data"):
        frontend.store.add_app(name, attributes={"VMTEMPLATE64": VM})
    whole = frontend.store.add_app("whole", "VMTEMPLATE", attributes={"APPTEMPLATE64": VM})
    whole.template.add([("DISK", {"NAME": "root", "APP": "base"}), ("DISK", {"NAME": "store", "APP": "data"})])
    exported = export_app(objects, "whole", "app", 1)
    assert exported == Exported(image_ids=(0, 1), template_ids=(0,))
    assert [one.name for one in objects.pool("image")] == ["app-store-1", "app-root-0"]
    assert objects.get("template", 0).template.vectors("DISK") == [{"IMAGE_ID": "0"}, {"IMAGE_ID": "1"}]


@pytest.mark.parametrize(
    ("app", "error", "words"),
    [
        ("nothing", NoSuchObject, "there is no marketplace app called 'nothing'"),
        ("99", NoSuchObject, r"marketapp 99: Error getting marketplaceapp \[99\]"),
        ("twice", ConfigError, r"several marketplace apps are called 'twice' \(ids 2, 1\)"),
        ("service", ConfigError, "app 0 'service' is a service.*onemarketapp export 0 NAME"),
        ("coming", ConfigError, r"app 3 'coming' is not ready \(state 2\)"),
        ("hollow", ConfigError, "app 4 'hollow' has no APPTEMPLATE64"),
        ("broken", ConfigError, "app 5 'broken': its APPTEMPLATE64 is not base64"),
        ("needs-kernel", ConfigError, "needs the app 'kernel', which is no disk image"),
    ],
)
def test_apps_that_cannot_be_exported(
    frontend: Frontend, objects: Objects, app: str, error: type[Exception], words: str
) -> None:
    add = frontend.store.add_app
    add("service", "SERVICE_TEMPLATE")
    add("twice")
    add("twice")
    add("coming").state = 2
    add("hollow", "VMTEMPLATE")
    add("broken").template.set("APPTEMPLATE64", "/w==")
    add("kernel", attributes={"APPTEMPLATE64": 'TYPE="KERNEL"'})
    add("needs-kernel", "VMTEMPLATE", attributes={"APPTEMPLATE64": VM, "DISK": {"NAME": "k", "APP": "kernel"}})
    with pytest.raises(error, match=words):
        export_app(objects, app, "mine", 1)
    assert (objects.pool("image"), objects.pool("template")) == ([], [])


def test_what_was_made_is_deleted_when_a_later_step_fails(frontend: Frontend, objects: Objects) -> None:
    frontend.store.add_app("app", attributes={"VMTEMPLATE64": VM})
    objects.allocate("template", Template([("NAME", "taken"), ("CPU", "1")]))
    with pytest.raises(AllocateRefused, match="template taken: NAME is already taken by TEMPLATE 0"):
        export_app(objects, "app", "taken", 1)
    assert objects.pool("image") == []
    assert len(objects.pool("template")) == 1


def test_an_app_is_found_by_name_or_number(frontend: Frontend, objects: Objects) -> None:
    frontend.store.add_app("one")
    assert find_app(objects, "one") == find_app(objects, 0) == find_app(objects, "0")
