"""Debian packages and archives: versions, relations, releases, indexes, archives, database."""
