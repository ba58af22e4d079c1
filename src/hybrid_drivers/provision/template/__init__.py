"""Provision templates: OneProvision's YAML of 5.12 and of 6.x, read, checked, merged and resolved."""
