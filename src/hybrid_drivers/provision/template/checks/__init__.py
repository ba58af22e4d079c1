"""What can be known of a template before anything is made; each module looks at one side of it."""
