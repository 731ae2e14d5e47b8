"""Layer plan, canonical tar, compression; core, no I/O."""
