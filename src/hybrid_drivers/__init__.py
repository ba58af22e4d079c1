"""OpenNebula Hybrid Drivers: an OpenNebula cloud that grows with rented physical machines and shrinks again."""

__version__ = "0.1.0"
