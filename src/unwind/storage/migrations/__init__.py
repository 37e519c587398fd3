"""Numbered migrations; the statements are in `sql/`."""
