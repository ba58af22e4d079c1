"""The Packet (Equinix Metal) API and its like."""
