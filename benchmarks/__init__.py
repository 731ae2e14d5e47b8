"""Measurements of the program; none is a test."""
