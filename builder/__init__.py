"""imgbuild: packages of curated distributions in, reproducible OCI images out.

The command line is the interface; see ARCHITECTURE.md for the rooms of this package and the
direction in which they may import each other.
"""

__version__ = "0.1.0"
