"""Warehouses by their own formats."""
