"""Package formats, independent of each other, behind one protocol; core, no I/O."""
