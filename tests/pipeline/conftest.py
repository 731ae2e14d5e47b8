"""A simulated distribution for each test."""

from tests.simulators.world import make_empty_world, make_world

__all__ = ["make_empty_world", "make_world"]
