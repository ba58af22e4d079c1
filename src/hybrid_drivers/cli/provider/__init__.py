"""``oneprovider``: the accounts machines are rented from."""
