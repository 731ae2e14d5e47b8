"""The spec: what a user asks for, from YAML text with positions to values; no I/O.

>>> load_spec("distro: debian/trixie\npackages: [python3]", "web.yaml").spec.image
'web'
"""

from builder.spec.loader import inputs, load_spec
from builder.spec.model import ImageSpec, SpecDocument

__all__ = ["ImageSpec", "SpecDocument", "inputs", "load_spec"]
