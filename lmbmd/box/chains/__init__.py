"""Boxes with chains: grown unit by unit, small molecules put between them, and all of it compressed."""
