"""One run at a time: who comes second is told who came first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.provisions import begun, site_of
from tests.support.standin import ManualClock

from hybrid_drivers.model import Template
from hybrid_drivers.provision.lock import ATTRIBUTE, STALE, Held, Lock
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        yield started


@pytest.fixture
def site(front_end: Frontend) -> Iterator[Site]:
    with site_of(front_end, ManualClock()) as made:
        yield made


def fresh(site: Site, name: str) -> int:
    return begun(site, f"name: {name}\nplaybook: dummy\n").id


def test_the_second_is_told_who_holds_it_and_then_may(site: Site) -> None:
    number = fresh(site, "one")
    with Lock(site.oned, number, site.clock, "create"):
        with pytest.raises(Held, match=rf"provision {number} is being worked on by .*process {os.getpid()}, create"):
            Lock(site.oned, number, site.clock, "delete").__enter__()
        assert "create" in site.store.find("one").lock["HOLDER"]
    with Lock(site.oned, number, site.clock, "delete"):
        pass


def test_the_lock_of_a_dead_process_of_this_machine_counts_for_nothing(site: Site) -> None:
    number = fresh(site, "dead")
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.support.standin import ManualClock\n"
        "from hybrid_drivers.config import Location\n"
        "from hybrid_drivers.oned.api import Oned\n"
        "from hybrid_drivers.provision.lock import Lock\n"
        "oned = Oned.from_location(Location.from_environment(os.environ))\n"
        "Lock(oned, int(sys.argv[2]), ManualClock(), 'create').__enter__()\n"
        "os._exit(9)\n"
    )
    top = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", code, top, str(number)], timeout=60, check=False)
    assert done.returncode == 9
    assert site.store.find("dead").lock["TOKEN"] != "-"
    with Lock(site.oned, number, site.clock, "resume"):
        pass


def test_the_lock_of_another_machine_holds_while_it_is_renewed(site: Site) -> None:
    number = fresh(site, "far")
    lock = {"TOKEN": "x", "HOLDER": "root@far (process 1, create)", "HOST": "far", "PID": "1"}

    def written(age: float) -> None:
        fields = {**lock, "RENEWED": f"{site.clock.now() - age:.0f}"}
        site.oned.update_document(number, None, Template([(ATTRIBUTE, fields)]))

    written(STALE - 5)
    with pytest.raises(Held, match="root@far"):
        Lock(site.oned, number, site.clock, "create").__enter__()
    written(STALE + 5)
    with Lock(site.oned, number, site.clock, "create"):
        pass


def test_two_that_come_at_once_do_not_both_get_it(site: Site) -> None:
    number = fresh(site, "race")

    class Interrupting(ManualClock):
        """While the first waits to be sure, the second writes."""

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            second._write()

    second = Lock(site.oned, number, ManualClock(), "second")
    with pytest.raises(Held, match="second"):
        Lock(site.oned, number, Interrupting(), "first").__enter__()


def test_it_keeps_to_itself_what_it_must_not_undo(site: Site) -> None:
    """Who lost the lock (it was away for too long) does not free the next one's."""
    number = fresh(site, "lost")
    first = Lock(site.oned, number, site.clock, "first")
    with first:
        site.oned.update_document(number, None, Template([(ATTRIBUTE, {"TOKEN": "other", "HOLDER": "next"})]))
    assert site.store.find("lost").lock["TOKEN"] == "other"
