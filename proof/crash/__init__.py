"""The crash matrix: the agent is killed before and after each effect it has on the world."""
