"""The template's kinds of objects under oned's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hybrid_drivers.model import Kind

ONED: Final[Mapping[str, Kind]] = {  # not marketplaceapps, which become images and templates
    "clusters": "cluster",
    "datastores": "datastore",
    "networks": "vnet",
    "hosts": "host",
    "images": "image",
    "templates": "template",
    "vntemplates": "vntemplate",
    "flowtemplates": "document",  # of type 101, which is OneFlow's: made and deleted through it
}
SERVICE_TEMPLATES: Final = 101  # the type of OneFlow's documents (OpenNebula ``src/flow``)
