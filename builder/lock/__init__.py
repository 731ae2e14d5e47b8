"""The lock: the waist of the program, all that an image is a function of; no I/O."""
