"""Bare-metal providers behind one interface."""
