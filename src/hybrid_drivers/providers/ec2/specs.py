"""How large instances of a type are, as DescribeInstanceTypes tells it.

Source: EC2's API reference, InstanceTypeInfo: ``VCpuInfo.DefaultVCpus`` are the processors an instance has (threads,
unless CpuOptions say otherwise), ``MemoryInfo.SizeInMiB`` its memory; of bare metal types these are the whole machine.
``GpuInfo`` names a GPU (``name``, ``manufacturer``, ``count``) but no PCI ids: devices are told by hosts of the type,
or by the operator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hybrid_drivers.providers.base import PlanSpecs
from hybrid_drivers.providers.ec2.client import Ec2Client


def ask_specs(client: Ec2Client, plan: str) -> dict[str, PlanSpecs]:
    """Ask for one type. Raises: ProviderError (PermanentError: there is no such type)."""
    what = f"looking at instance type {plan}"
    return read_specs(client.read("describe_instance_types", what, InstanceTypes=[plan]))


def read_specs(answer: Mapping[str, Any]) -> dict[str, PlanSpecs]:
    """Return what the types of an answer have; one without processors or memory is left out."""
    found = {}
    for one in answer.get("InstanceTypes", ()):
        cpus = one.get("VCpuInfo", {}).get("DefaultVCpus")
        memory = one.get("MemoryInfo", {}).get("SizeInMiB")
        if cpus and memory:
            found[str(one.get("InstanceType"))] = PlanSpecs(cpus=cpus, memory=memory)
    return found
