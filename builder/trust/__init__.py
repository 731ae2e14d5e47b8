"""Signature checks; core, no I/O."""
