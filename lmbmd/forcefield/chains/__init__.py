"""Chains of repeat units: charges from short pieces of them, all other terms by the rules of a released set."""
