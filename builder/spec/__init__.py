"""The spec: what a user asks for, from YAML text with positions to values; no I/O."""
