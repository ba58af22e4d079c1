"""The agent: one process a front-end that does all the work, its thin client, and the life of a host."""
