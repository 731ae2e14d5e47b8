"""What maintainer scripts would have done, as entries of the tree; core, no I/O."""
