"""Exact bytes of an OCI image: config, manifest, index; core, no I/O."""
