"""``oneprovision``: whole clusters from templates."""
