"""The SMIRNOFF applier of ``lmbmd parametrize``: the same code for released and own molecules."""

from lmbmd.forcefield.parametrize.smirnoff import Terms, apply, graph_terms

__all__ = ["Terms", "apply", "graph_terms"]
