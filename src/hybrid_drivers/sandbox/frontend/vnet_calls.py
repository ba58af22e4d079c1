"""The calls of virtual networks: one is locked until its driver has made it, and only then gets its address ranges.

Facts: recorded replies; OpenNebula ``VirtualNetworkAPI.cc``, ``VirtualNetworkPool.cc``, ``IPAMManagerProtocol.cc``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from hybrid_drivers.sandbox.frontend.address_ranges import RangeFault
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.calls import Code, Context, Method, Refused, no_such
from hybrid_drivers.sandbox.frontend.family import Family
from hybrid_drivers.sandbox.frontend.ipam import held
from hybrid_drivers.sandbox.frontend.pool import Pool
from hybrid_drivers.sandbox.frontend.store import Store
from hybrid_drivers.sandbox.frontend.vnet_objects import VnetFault, VnetObject, VnetState


class Vnets(Family[VnetObject]):
    """Virtual networks; names are unique per owner."""

    call, word, taken, root = "vn", "virtual network", "NET", "VNET"

    def pool(self, store: Store) -> Pool[VnetObject]:
        """Return the networks."""
        return store.vnets

    def xml(self, context: Context, one: VnetObject, decrypt: bool) -> str:
        """Return the document with leases."""
        return one.xml(whole=True)

    def get(self, context: Context, object_id: int) -> VnetObject:
        """Return a network, as soon as no address driver is asked for it. Raises: Refused."""
        one = super().get(context, object_id)
        with held(context.store.ipam, one):
            return super().get(context, object_id)

    def listed(self, context: Context, one: VnetObject) -> str:
        """Return the document without."""
        return one.xml(whole=False)

    def updated(self, context: Context, one: VnetObject, attributes: Attributes) -> Attributes:
        """Take over what a client may change of the fields (``VirtualNetwork::post_update_template``)."""
        one.vn_mad = attributes.text("VN_MAD") or one.vn_mad
        one.bridge = attributes.text("BRIDGE") or one.bridge
        one.bridge_type = attributes.text("BRIDGE_TYPE") or one.bridge_type
        one.phydev, one.outer_vlan_id = attributes.text("PHYDEV"), attributes.text("OUTER_VLAN_ID")
        one.vlan_id = one.vlan_id if one.automatic else attributes.text("VLAN_ID")
        one.template = attributes
        one.write_back()
        return one.template

    def drop(self, context: Context, one: VnetObject) -> None:
        """Begin to delete one: it is locked until its driver has finished."""
        if one.used:
            raise self._cannot_delete("Can not remove a virtual network with leases in use")
        if one.state in (VnetState.LOCK_CREATE, VnetState.LOCK_DELETE, VnetState.DONE):
            raise self._cannot_delete(f"Can not remove a Virtual Network, wrong state {one.state.name}")
        with held(context.store.ipam, one):
            for number, address_range in list(one.ranges.items()):
                if why := address_range.unregister():
                    raise self._cannot_delete(why)
                del one.ranges[number]
        one.enter(VnetState.LOCK_DELETE)
        context.later(context.knobs.vnet_seconds, lambda: _beside(context.store, one, "vnet_delete", self._gone))

    def _cannot_delete(self, why: str) -> Refused:
        return Refused(Code.ACTION, f"Cannot delete {self.word}. {why}")

    def _gone(self, store: Store, one: VnetObject) -> None:
        del store.vnets[one.id]
        for cluster_id in one.clusters:
            store.clusters[cluster_id].vnets.discard(one.id)

    # --- making one ---

    def allocate(self, context: Context, text: str, cluster_id: int = -1) -> int:
        """one.vn.allocate: cluster -1 is the default one."""
        cluster_id = 0 if cluster_id == -1 else cluster_id
        attributes = self.read(text)
        if cluster_id not in context.store.clusters:
            raise no_such("cluster", cluster_id)
        return self.make(context, attributes, {cluster_id})

    def make(
        self,
        context: Context,
        attributes: Attributes,
        cluster_ids: set[int],
        template_id: int | None = None,
    ) -> int:
        """Make a network, of a template or not; it is ready when its driver has finished. Raises: Refused."""
        name = attributes.text("NAME").rstrip()
        attributes.remove("NAME")
        made = VnetObject(id=-1, name=name, clusters=cluster_ids, template_id=template_id)
        try:
            if fault := self.name_fault(context, name):
                raise VnetFault(fault)
            made.begin(attributes, context.conf)
        except VnetFault as exc:
            if template_id is None:
                raise Refused(Code.INTERNAL, str(exc)) from exc
            raise Refused(Code.ALLOCATE, f"Error allocating a new virtual network template. {exc}") from exc
        context.store.vnets.put(made).settle()
        for one in cluster_ids:
            context.store.clusters[one].vnets.add(made.id)
        context.later(context.knobs.vnet_seconds, lambda: _make_ready(context.store, made))
        return made.id

    # --- address ranges ---

    def add_ar(self, context: Context, vnet_id: int, text: str) -> int:
        """one.vn.add_ar: one range, to a network that is ready."""
        one = self.get(context, vnet_id)
        vectors = self.read(text).template().vectors("AR")
        if one.state is not VnetState.READY:
            raise Refused(
                Code.ACTION, f"Could not execute one.vn.add_arVirtual Network is in wrong state: {one.state.name}"
            )
        if not vectors:
            raise Refused(Code.INTERNAL, "Wrong AR definition. AR vector attribute is missing.")
        try:
            with held(context.store.ipam, one):
                one.add_range(vectors[0], context.store.ipam)
        except RangeFault as exc:
            raise Refused(Code.INTERNAL, str(exc)) from exc
        return vnet_id

    def rm_ar(self, context: Context, vnet_id: int, range_id: int, force: bool = False) -> int:
        """one.vn.rm_ar."""
        one = self.get(context, vnet_id)
        if one.state is not VnetState.READY:
            sentence = "Could not remove Adress Range, Virtual Network is in wrong state: "
            raise Refused(Code.ACTION, f"{sentence}{one.state.name}")
        if range_id not in one.ranges:
            raise Refused(Code.INTERNAL, "Address Range does not exist")
        if one.ranges[range_id].leases and not force:
            raise Refused(Code.INTERNAL, "Address Range has leases in use")
        with held(context.store.ipam, one):
            why = one.ranges[range_id].unregister()
            if why and not force:
                raise Refused(Code.INTERNAL, why)
            del one.ranges[range_id]
        return vnet_id

    def methods(self) -> dict[str, Method]:
        """Add the calls only networks have."""
        return {
            **super().methods(),
            "one.vn.allocate": Method(self.allocate, "s|i", writes=True),
            "one.vn.add_ar": Method(self.add_ar, "is", writes=True),
            "one.vn.rm_ar": Method(self.rm_ar, "ii|b", writes=True),
        }


def _make_ready(store: Store, one: VnetObject) -> None:
    """End the making of a network; one whose ranges need a driver waits for it beside the calls."""
    given = one.template.template().vectors("AR")
    asks = any(vector.get("IPAM_MAD", "internal") != "internal" for vector in given)
    _beside(store, one, "vnet_create", _ready, asks=asks)


def _beside(
    store: Store, one: VnetObject, action: str, then: Callable[[Store, VnetObject], None], *, asks: bool = False
) -> None:
    """Tell the network's driver and go on, or end in ERROR; where a driver is asked, beside the calls."""
    ipam = store.ipam
    if ipam is None or not (asks or ipam.has(one.vn_mad, action)):
        then(store, one)
        return

    def wait_for_driver() -> None:
        with store.lock, held(ipam, one):
            if why := ipam.tell(action, one.vn_mad, one.id, one.xml(whole=True)):
                _failed(one, why)
            else:
                then(store, one)

    threading.Thread(target=wait_for_driver, name=action, daemon=True).start()


def _ready(store: Store, one: VnetObject) -> None:
    """Read the ranges of a network only now, and a wrong one leaves it in ERROR; nobody sees it half made."""
    problem = ""
    try:
        for vector in one.template.template().vectors("AR"):
            one.add_range(vector, store.ipam)
    except RangeFault as exc:
        problem = str(exc)
    one.template.remove("AR", "ERROR")
    one.enter(VnetState.READY)
    if problem:
        _failed(one, problem)


def _failed(one: VnetObject, why: str) -> None:
    one.enter(VnetState.ERROR)
    one.template.set("ERROR", f"{time.strftime('%a %b %e %H:%M:%S %Y')}: {why}")
