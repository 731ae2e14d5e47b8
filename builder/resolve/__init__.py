"""Universe, solver, policy, explanation: which packages answer a spec; core, no I/O."""

from builder.resolve.resolution import Chosen, Request, Resolution, resolve

__all__ = ["Chosen", "Request", "Resolution", "resolve"]
