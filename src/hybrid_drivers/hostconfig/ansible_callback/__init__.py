"""Runs inside Ansible's own Python, never imported by ours: Ansible loads it from this folder."""
