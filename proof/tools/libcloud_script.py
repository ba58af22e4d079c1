"""A script that keeps one machine with apache-libcloud, run by a venv that has it.

``make``: the machine of this name that the list shows, or a new one, and its id noted. ``remove``: all machines of this
name that the list shows. Calls are those of libcloud's documentation ("Compute", and its driver for Equinix Metal).
Arguments: ``make`` or ``remove``, the name, the file for the id. ``DIE`` in the environment ends it like ``kill -9``,
before the id is noted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from libcloud.compute.base import NodeImage, NodeLocation, NodeSize
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

GONE = ("deleted", "deprovisioning")


def main() -> None:
    """Do what the arguments say; any failure ends with a traceback, as in most such scripts."""
    action, name, note = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    address, project = urlsplit(os.environ["ENDPOINT"]), os.environ["PROJECT"]
    driver = get_driver(Provider.EQUINIXMETAL)(os.environ["TOKEN"])
    driver.connection.host, driver.connection.port, driver.connection.secure = address.hostname, address.port, 0
    driver.connection.connect()
    found = [
        one
        for one in driver.ex_list_nodes_for_project(project)
        if one.name == name and one.extra.get("state") not in GONE
    ]
    if action == "remove":
        for one in found:
            driver.destroy_node(one)
        note.unlink(missing_ok=True)
        return
    if not found:
        size = NodeSize("c3.small.x86", "c3.small.x86", 0, 0, 0, 0, driver)
        image = NodeImage("debian_12", "debian_12", driver)
        place = NodeLocation("am", "am", "NL", driver, extra={"code": "am"})
        found = [driver.create_node(name, size, image, place, ex_project_id=project)]
    if os.environ.get("DIE"):
        os._exit(9)
    note.write_text(found[0].id)


main()
