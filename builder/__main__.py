"""``python -m builder``: the same as the command ``imgbuild``."""

from builder.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
