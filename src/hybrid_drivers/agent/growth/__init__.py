"""Growing on demand: what a policy on a cluster orders and gives back (docs/growth.md)."""
