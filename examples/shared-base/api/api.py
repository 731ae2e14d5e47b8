"""A page that says which Python it runs on."""

import sys

from flask import Flask

app = Flask(__name__)


@app.get("/")
def version() -> dict[str, str]:
    """Give the interpreter's version."""
    return {"python": sys.version.split()[0]}
