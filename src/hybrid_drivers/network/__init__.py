"""Addresses of virtual machines on rented hosts: what is decided about them, without any input or output."""
