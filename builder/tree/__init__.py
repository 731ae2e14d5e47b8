"""Entries of an image and the rules by which they merge; core, no I/O."""
