"""A page that greets, and one that says that all is well."""

from flask import Flask, request

app = Flask(__name__)


@app.get("/")
def greet() -> str:
    """Greet whom the query names."""
    return f"Hello, {request.args.get('name', 'world')}!\n"


@app.get("/health")
def health() -> dict[str, str]:
    """Say that the program answers."""
    return {"status": "well"}
