"""Content-addressed files and an action cache, atomic and safe for many processes."""
