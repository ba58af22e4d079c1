"""Everything that speaks with oned and monitord."""
