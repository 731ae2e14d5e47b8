"""Destinations of an image: OCI layout and archive, docker archive, root folder, tar."""
