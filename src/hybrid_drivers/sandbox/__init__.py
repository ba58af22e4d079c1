"""The embedded laboratory: a front-end stand-in, provider simulators and machines. Production code never imports it."""
