"""The keys the packet driver understands; light, so that reading configuration loads no HTTP library."""

from __future__ import annotations

from hybrid_drivers.providers.base import Field
from hybrid_drivers.providers.driver import RATE_SETTINGS, Driver

DEFAULT_ENDPOINT = "https://api.equinix.com/metal/v1"

DRIVER = Driver(
    name="packet",
    target="hybrid_drivers.providers.packet.provider:PacketProvider",
    settings=(
        Field(name="token", required=True, secret=True, help="API token, header X-Auth-Token"),
        Field(name="project", required=True, help="UUID of the project"),
        Field(name="endpoint", help=f"base URL, default {DEFAULT_ENDPOINT}"),
        *RATE_SETTINGS,
    ),
    attributes=(
        Field(name="PLAN", required=True, help="like c3.small.x86; a comma list tries one after the other"),
        Field(name="OS", required=True, help="slug of the operating system, like debian_12"),
        Field(name="METRO", help="like am; a comma list tries one after the other"),
        Field(name="FACILITY", help="like ams1, instead of METRO"),
        Field(name="BILLING_CYCLE", help="hourly (default), daily, monthly, yearly"),
        Field(name="USERDATA", help="user-data, used where we have none of our own"),
        Field(name="CUSTOMDATA", help="a JSON object"),
        Field(name="HARDWARE_RESERVATION_ID", help="UUID, or next-available"),
        Field(name="PROJECT_SSH_KEYS", help="comma list of key ids"),
        Field(name="USER_SSH_KEYS", help="comma list of user ids"),
        Field(name="SPOT_INSTANCE", kind="boolean"),
        Field(name="SPOT_PRICE_MAX", kind="number", help="dollars an hour"),
        Field(name="TERMINATION_TIME", help="when the provider takes it back, ISO 8601"),
    ),
    aliases={"HARDWARE_RESERVATION": "HARDWARE_RESERVATION_ID"},
    inline={"PACKET_TOKEN": "token", "PACKET_PROJECT": "project", "PACKET_ENDPOINT": "endpoint"},
)
