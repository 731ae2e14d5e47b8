"""Package blob to fragment, cached by content."""
