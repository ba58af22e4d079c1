"""Spot instances of the EC2 simulator: what they cost, when there are none, and how they are taken back.

Facts: EC2 API reference (DescribeSpotPriceHistory, DescribeSpotInstanceRequests); EC2 User Guide, "Get the status of a
Spot Instance request" (codes, messages, states) and "Error codes" (SpotMaxPriceTooLow, MaxSpotInstanceCountExceeded).
"""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.sandbox import ec2_catalogue as catalogue
from hybrid_drivers.sandbox import ec2_select as select
from hybrid_drivers.sandbox import ec2_views as views
from hybrid_drivers.sandbox.ec2_order import InstanceOrder
from hybrid_drivers.sandbox.ec2_views import Instance
from hybrid_drivers.sandbox.ec2_wire import Failure, Parameters
from hybrid_drivers.sandbox.fleet import Fleet
from hybrid_drivers.sandbox.unit import State

Content = Mapping[str, object]
PRODUCT = "Linux/UNIX"
_ENDED = (State.FAILED, State.DELETING, State.GONE)
_REQUEST_STATES = {"fulfilled": "active", "marked-for-termination": "active", "marked-for-stop": "active"}


class Spots:
    """Answers the spot calls of one region."""

    def __init__(self, fleet: Fleet[InstanceOrder], region: str) -> None:
        self._fleet, self._region = fleet, region

    def check(self, order: InstanceOrder, count: int) -> None:
        """Refuse a spot order that would not be filled; raises Failure."""
        if not order.spot:
            return
        knobs = self._fleet.knobs
        living = [one.order for one in self._fleet.units() if one.order.spot and one.state not in _ENDED]
        if knobs.spot_quota and len(living) + count > knobs.spot_quota:
            raise Failure("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
        price = knobs.spot_price_of(order.plan, order.place)
        if order.max_price is not None and price is not None and order.max_price < price:
            text = f"Your Spot request price of {order.max_price:g} is lower than the minimum required Spot request"
            raise Failure("SpotMaxPriceTooLow", f"{text} fulfillment price of {price:g}.")
        room = knobs.spot_room(order.plan, order.place, [f"{one.plan}@{one.place}" for one in living])
        if room is not None and room < count:
            text = "There is no Spot capacity available that matches your request."
            raise Failure("InsufficientInstanceCapacity", text)

    def prices(self, told: Parameters) -> Content:
        """DescribeSpotPriceHistory: the present price of each zone, as of an hour ago."""
        plans, products = told.listed("InstanceType") or list(catalogue.TYPES), told.listed("ProductDescription")
        rows = []
        for zone in [told.text("AvailabilityZone")] if told.text("AvailabilityZone") else catalogue.zones(self._region):
            for plan in plans if PRODUCT in (products or [PRODUCT]) else ():
                price = self._fleet.knobs.spot_price_of(plan, zone)
                if price is not None:
                    when = views.timestamp(self._fleet.now() - 3600)
                    rows.append(
                        {
                            "instanceType": plan,
                            "productDescription": PRODUCT,
                            "spotPrice": f"{price:.6f}",
                            "timestamp": when,
                            "availabilityZone": zone,
                        }
                    )
        some, token = select.page(rows, told)
        return {"spotPriceHistorySet": some, "nextToken": token or ""}

    def describe(self, told: Parameters) -> Content:
        """DescribeSpotInstanceRequests: one request for each instance."""
        readers: Mapping[str, select.Reader[Instance]] = {
            "status-code": lambda one: [self._status(one)[0]],
            "state": lambda one: [self._state(one)],
            "instance-id": lambda one: [one.id],
            "spot-instance-request-id": lambda one: [views.request_id(one)],
        }
        units = [one for one in self._fleet.listed() if one.order.spot]
        wanted = told.listed("SpotInstanceRequestId")
        units = [one for one in units if not wanted or views.request_id(one) in wanted]
        some, token = select.page(select.filtered(units, told, readers), told)
        return {"spotInstanceRequestSet": [self._view(one) for one in some], "nextToken": token}

    def _view(self, unit: Instance) -> dict[str, object]:
        code, when, message = self._status(unit)
        order = unit.order
        return {
            "spotInstanceRequestId": views.request_id(unit),
            "spotPrice": None if order.max_price is None else f"{order.max_price:.6f}",
            "type": "one-time",
            "state": self._state(unit),
            "status": {"code": code, "updateTime": views.timestamp(when), "message": message},
            "launchSpecification": {"imageId": order.image, "instanceType": order.plan, "subnetId": order.subnet},
            "instanceId": unit.id,
            "createTime": views.timestamp(unit.created),
            "productDescription": PRODUCT,
            "launchedAvailabilityZone": order.place,
            "instanceInterruptionBehavior": "terminate",
        }

    def _state(self, unit: Instance) -> str:
        return _REQUEST_STATES.get(self._status(unit)[0], "closed")

    def _status(self, unit: Instance) -> tuple[str, float, str]:
        if unit.notice is not None:
            marked = unit.notice.code == "marked-for-termination"
            code = "instance-terminated-by-price" if marked and unit.state in _ENDED else unit.notice.code
            return code, unit.notice.since, "Your Spot instance was or will be terminated."
        if unit.state in _ENDED:
            return "instance-terminated-by-user", unit.deleted or self._fleet.now(), "You terminated the Spot instance."
        return "fulfilled", unit.created, "Your spot request is fulfilled."
