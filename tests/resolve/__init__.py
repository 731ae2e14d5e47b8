"""Tests of `builder.resolve`."""
