"""Distributions' data, mirrors, and the drive of a format's snapshot flow."""
