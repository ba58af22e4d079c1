"""Provisions: whole clusters from one template, and the provider entries they rent from."""
