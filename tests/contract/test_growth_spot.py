"""Spot machines with the real agent: one is rented, taken back with notice, its VM moves, the host goes."""

from __future__ import annotations

from tests.support.growing_site import cluster_text, end, growing_lab, grown, start_vm, wait_running
from tests.support.lab import quick_lab, wait_told

from hybrid_drivers.agent.spot import INTERRUPTION
from hybrid_drivers.model import Host, HostState, Template
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.lab import Lab

WATCH = {"interruptions": 0.3}


def machine(host: Host) -> str:
    return host.template.vector("PROVISION")["DEPLOY_ID"]


def place(lab: Lab, vm_id: int) -> int | None:
    place = Vms(lab.oned).get(vm_id).place
    return place.host_id if place else None


def test_a_spot_host_is_taken_back_and_its_vm_goes_on_elsewhere() -> None:
    market = {"spot_price": "c5.metal@*=0.4", "spot_capacity": "c5.metal@*=1", "spot_notice": 3600}
    with growing_lab("ec2", {"SPOT": "yes", "SPOT_MAX_PRICE": "1.2"}, agent=WATCH, **market) as lab:
        vm = start_vm(lab, "vm")
        wait_running(lab, vm)
        (first,) = grown(lab)
        provision = first.template.vector("PROVISION")
        assert (provision["SPOT_INSTANCE"], provision["SPOT_PRICE_MAX"]) == ("YES", "1.2")
        assert (first.template.text("SPOT"), first.template.text("COST_HOUR")) == ("YES", "1.2")

        lab.simulator.interrupt(machine(first))
        lab.wait(lambda: lab.host(first.id).state is HostState.DISABLED)
        lab.wait(lambda: place(lab, vm) not in (first.id, None) and Vms(lab.oned).get(vm).runs)
        second = lab.host(place(lab, vm) or -1)
        assert (second.template.text("SPOT"), second.template.text("COST_HOUR")) == (
            "",
            "1.5",
        )  # the market has no more
        wait_told(lab, first.id, "PROVISION_ERROR", "the host was flushed")
        flushed = lab.host(first.id).template.vector(INTERRUPTION)
        assert (flushed["MACHINE"], flushed["FLUSHED"], flushed.get("LEFT", "")) == (machine(first), "YES", "")

        lab.simulator.knobs.change({"spot_notice": 0})
        lab.simulator.interrupt(machine(first))  # its two minutes are over
        lab.wait(lambda: [one.id for one in grown(lab)] == [second.id])
        events = cluster_text(lab, "ELASTIC_EVENTS")
        steps = (
            "order c5.metal (spot) at most 1.2",
            "takes spot machine",
            "c5.metal (spot) is sold out",
            "at 1.5 an hour",
        )
        assert sorted(steps, key=events.index) == list(steps)
        assert f"delete host {first.id}: its machine is lost" in events
        end(lab, vm)
        lab.wait(lambda: not lab.oned.hosts())
        lab.wait_empty()


def test_a_spot_host_made_by_hand_is_flushed_once_and_what_people_do_then_stays() -> None:
    with quick_lab("packet", agent=WATCH, provision={"SPOT_INSTANCE": "YES"}, spot_notice=3600) as lab:
        system = Template([("NAME", "edge-system"), ("TYPE", "SYSTEM_DS"), ("TM_MAD", "local")])
        lab.objects.allocate("datastore", system, cluster_id=lab.cluster_id)
        host_id = lab.create("mine")
        host = lab.wait_ready(host_id)
        assert host.template.text("SPOT") == "YES"
        vm = start_vm(lab, "vm")
        Vms(lab.oned).deploy(vm, host_id)
        wait_running(lab, vm)
        lab.simulator.knobs.change({"spot_notice": 500})
        lab.simulator.interrupt(machine(host))
        lab.wait(lambda: lab.host(host_id).state is HostState.DISABLED)
        wait_told(lab, host_id, "PROVISION_ERROR", "the host was flushed")
        lab.oned.set_host_status(host_id, "enable")
        lab.kill_agent()  # what was done is in oned, not in its memory
        lab.silence()
        lists = "GET /projects/{id}/devices"
        seen = lab.simulator.calls[lists]
        lab.wait(lambda: lab.simulator.calls[lists] > seen + 6)
        assert lab.host(host_id).state is HostState.MONITORED
        lab.oned.set_host_status(host_id, "disable")
        lab.simulator.knobs.change({"spot_notice": 0})
        lab.simulator.interrupt(machine(host))
        wait_told(lab, host_id, "PROVISION_ERROR", "is gone at provider")
        lab.wait(lambda: lab.host(host_id).state is HostState.ERROR)  # now hooks see to the VM: nobody else can move it
        assert lab.made() == 1
        Vms(lab.oned).delete(vm)
        lab.oned.delete_host(host_id)
        lab.wait_empty()
