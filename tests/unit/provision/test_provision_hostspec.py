"""From sections of a template to attributes of oned."""

from __future__ import annotations

import json

from hybrid_drivers.provision.hostspec import as_attributes
from hybrid_drivers.provision.template.load import parse_template

TEXT = """
name: few
hosts:
  - im_mad: kvm
    vm_mad: kvm
    provision:
      plan: c3.small.x86
      metro: [am, fr]
      empty: null
      customdata: {storage: {disks: [{device: /dev/sda, wipe: true, parts: 2}]}, size: "07"}
"""


def test_values_become_text_and_what_is_nested_json_with_its_types() -> None:
    [host] = parse_template(TEXT, "few.yaml").hosts
    found = as_attributes(host.provision)
    assert {key: found[key] for key in ("PLAN", "METRO")} == {"PLAN": "c3.small.x86", "METRO": "am,fr"}
    assert "EMPTY" not in found
    assert json.loads(found["CUSTOMDATA"]) == {
        "storage": {"disks": [{"device": "/dev/sda", "wipe": True, "parts": 2}]},
        "size": "07",
    }
