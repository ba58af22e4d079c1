"""Host configuration over SSH: roles compiled to one script a host."""
