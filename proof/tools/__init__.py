"""What people would write with other tools; run by those tools' own virtual environments."""
