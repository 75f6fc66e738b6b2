"""Chains of repeat units in a bottle: what a recipe says of them, and which chains a box is given."""
