"""One object of a template that stands for several: hosts with a count or a list of names, networks with more ranges.

Source: OpenNebula ``src/oneprovision/lib/provision/provision.rb`` (``create_hosts``) and ``network.rb`` (``create``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hybrid_drivers.provision.template.merge import with_defaults
from hybrid_drivers.provision.template.model import Data, ObjectSpec, Problem, ProvisionTemplate, TemplateError

MOST = 10_000  # hosts, or ranges of a network, of one template
CEPH = {"ceph_full_count": "osd,mon", "ceph_osd_count": "osd", "ceph_client_count": "clients"}  # 6.x's HCI clusters


def expand_hosts(template: ProvisionTemplate) -> tuple[ObjectSpec, ...]:
    """Return one spec for each host, ``defaults`` merged in, with ``index`` counting from 0 through all of them.

    Call it after ``with_inputs``: counts and lists of names must be there. A name that would be given to several hosts
    gets ``-N`` appended (OneProvision documents ``_N``, which no host name may have).

    Raises:
        TemplateError: a count is no whole number, or there are more than 10,000 hosts.
    """
    problems: list[Problem] = []
    found: list[ObjectSpec] = []
    for spec in template.hosts:
        try:
            for one in _hosts(with_defaults(template, spec)):
                found.append(replace(one, index=len(found)))
                if len(found) > MOST:
                    raise TemplateError([spec.at("provision.count").problem(f"more than {MOST} hosts in all")])
        except TemplateError as exc:
            problems += exc.problems
    if problems:
        raise TemplateError(problems)
    return tuple(found)


def _hosts(spec: ObjectSpec) -> Iterator[ObjectSpec]:
    names, ceph = spec.provision.get("hostname"), _ceph(spec)
    single = {key: value for key, value in spec.provision.items() if key not in (*CEPH, "count")}
    if isinstance(names, list):
        for name in names:
            yield replace(spec, provision={**single, "hostname": name})
        return
    count = len(ceph) if ceph else count_of(spec)
    apart = count > 1 and isinstance(names, str) and names and "${index}" not in names
    for number in range(count):
        group: dict[str, Data] = {"ceph_group": ceph[number]} if ceph else {}
        own: dict[str, Data] = {"hostname": f"{names}-{number}"} if apart else {}
        yield replace(spec, provision={**single, **own, **group})


def _ceph(spec: ObjectSpec) -> list[str]:
    """Return the Ceph group of each host of an HCI cluster, in OneProvision's order; empty for all other hosts."""
    if "ceph_full_count" not in spec.provision or "count" in spec.provision:
        return []
    return [group for key, group in CEPH.items() for _ in range(count_of(spec, key, 0, 0))]


def count_of(spec: ObjectSpec, key: str = "count", default: int = 1, least: int = 1) -> int:
    """Return a count in ``provision``.

    Raises:
        TemplateError: it is no whole number from ``least`` to 10,000.
    """
    value = spec.provision.get(key)
    if value is None or value == "":
        return default
    if isinstance(value, str) and value.isascii() and value.strip().isdigit() and least <= int(value[:9]) <= MOST:
        return int(value[:9])
    shown = f", not '{value[:40]}'" if isinstance(value, str) else ""
    raise TemplateError([spec.at(f"provision.{key}").problem(f"must be a whole number from {least} to {MOST}{shown}")])


def expand_ranges(network: ObjectSpec) -> ObjectSpec:
    """Return a network whose first address range is there ``provision.count`` times.

    Raises:
        TemplateError: the count is no whole number, or ``ar`` no list of mappings.
    """
    ranges = network.body.get("ar")
    if ranges is None:
        return network
    if isinstance(ranges, dict):
        ranges = [ranges]
    if not isinstance(ranges, list) or not all(isinstance(one, dict) for one in ranges):
        raise TemplateError([network.at("ar").problem("must be a list of address ranges (mappings)")])
    more = [ranges[0]] * (count_of(network) - 1) if ranges else []
    left = {key: value for key, value in network.provision.items() if key != "count"}
    return replace(network, body={**network.body, "ar": [*ranges, *more]}, provision=left)
