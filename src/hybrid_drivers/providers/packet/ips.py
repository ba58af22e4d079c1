"""The address calls of the packet API that we use, one method each, and nothing but the wire.

Source: the published OpenAPI 1.0.0 description (``IPAddressesApi``, ``IPReservation``, ``IPAssignment``) and packngo's
``ip.go``: a reservation is ``created``, ``pending`` or ``denied``; one DELETE releases a reservation and unassigns an
assignment, by whose id it is; ``include=assignments`` writes out what are only links otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from hybrid_drivers.errors import OutcomeUnknown, TransientError
from hybrid_drivers.model_addresses import AddressTags, Assignment, Block
from hybrid_drivers.providers import tagging
from hybrid_drivers.providers.http import Call, HttpApi
from hybrid_drivers.providers.packet import states

PAGE = 1000  # the most the API gives at once
_MOST_PAGES = 100  # a guard against an API that always names a next page

Row = Mapping[str, object]


class PacketIps:
    """The addresses of one project."""

    def __init__(self, api: HttpApi, project: str) -> None:
        self._api, self._project = api, project
        self._path = f"/projects/{quote(project, safe='')}/ips"

    def reserve(self, body: Row, what: str) -> Row:
        """POST a reservation.

        Raises:
            OutcomeUnknown: no usable answer, so it may exist.
        """
        call = Call(
            method="POST", path=self._path, what=what, rules=states.RESERVE_RULES, body=body, lost=OutcomeUnknown
        )
        answer = self._api.run(call)
        if not isinstance(answer, dict) or not answer.get("id"):
            raise OutcomeUnknown(f"packet: {what}: the answer names no reservation; it must be looked up")
        return answer

    def reservations(self) -> list[Row]:
        """GET all reservations of the project, over all pages, each once."""
        found: dict[str, Row] = {}
        what = f"listing the addresses of project {self._project}"
        for page in range(1, _MOST_PAGES + 1):
            query = {"per_page": str(PAGE), "page": str(page)}
            call = Call(method="GET", path=self._path, what=what, rules=states.LIST_RULES, query=query)
            document = self._api.run(call)
            rows = document.get("ip_addresses") if isinstance(document, dict) else None
            if not isinstance(rows, list):
                raise TransientError("packet: the API answered a list without 'ip_addresses'; it will be asked again")
            found.update((str(one.get("id")), one) for one in rows if isinstance(one, dict))
            if not rows or not states.has_next(document, page):
                return list(found.values())
        raise TransientError(f"packet: {what}: more than {_MOST_PAGES} pages")

    def reservation(self, block_id: str) -> Row:
        """GET one reservation with its assignments written out."""
        what, query = f"looking at address block {block_id}", {"include": "assignments"}
        answer = self._api.run(Call(method="GET", path=_ip(block_id), what=what, rules=states.IP_RULES, query=query))
        return answer if isinstance(answer, dict) else {}

    def available(self, block_id: str, bits: int) -> list[str]:
        """GET the networks of ``bits`` bits that are free in a reservation."""
        what = f"looking for a free /{bits} in address block {block_id}"
        call = Call(
            method="GET", path=f"{_ip(block_id)}/available", what=what, rules=states.IP_RULES, query={"cidr": str(bits)}
        )
        answer = self._api.run(call)
        rows = answer.get("available") if isinstance(answer, dict) else None
        return [str(one) for one in rows] if isinstance(rows, list) else []

    def assign(self, device_id: str, address: str) -> Row:
        """POST an address (``a.b.c.d/32``) to a device. Raises: OutcomeUnknown."""
        call = Call(
            method="POST",
            path=f"/devices/{quote(device_id, safe='')}/ips",
            what=f"assigning {address} to device {device_id}",
            rules=states.MACHINE_RULES,
            body={"address": address},
            lost=OutcomeUnknown,
        )
        answer = self._api.run(call)
        return answer if isinstance(answer, dict) else {}

    def delete(self, identifier: str, what: str) -> None:
        """DELETE a reservation or an assignment."""
        self._api.run(Call(method="DELETE", path=_ip(identifier), what=what, rules=states.IP_RULES))


def block_of(row: Row) -> Block:
    """Read a reservation; its network is empty while it is pending."""
    network, bits = str(row.get("network") or ""), row.get("cidr")
    return Block(
        id=str(row.get("id") or ""),
        network=f"{network}/{bits}" if network and isinstance(bits, int) else "",
        family=6 if row.get("address_family") == 6 else 4,
        tags=tags_of(row.get("tags")),
        place=place_of(row),
    )


def tags_of(tags: object) -> AddressTags | None:
    """Read the tags back; None when the block is not ours."""
    return tagging.address_tags(states.tag_texts(tags))


def place_of(row: Row, kind: str = "") -> str:
    """Return the code of its metro, else of its facility; ``kind`` names one of the two."""
    for key in (kind,) if kind else ("metro", "facility"):
        value = row.get(key)
        if isinstance(value, Mapping) and value.get("code"):
            return str(value["code"])
    return ""


def assignments_of(row: Row) -> dict[str, Assignment]:
    """Read where the addresses of a reservation go: address -> assignment; those of whole networks are left out."""
    rows = row.get("assignments")
    found = {}
    for one in rows if isinstance(rows, list) else ():
        if isinstance(one, Mapping) and one.get("cidr") in (32, 128) and one.get("address"):
            found[str(one["address"])] = assignment_of(one)
    return found


def assignment_of(row: Row) -> Assignment:
    """Read an assignment."""
    device = row.get("assigned_to")
    link = str(device.get("href") or "") if isinstance(device, Mapping) else ""
    return Assignment(id=str(row.get("id") or ""), machine_id=link.rpartition("/")[2])


def _ip(identifier: str) -> str:
    return f"/ips/{quote(identifier, safe='')}"
