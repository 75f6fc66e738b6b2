"""Figures and pages. Computes nothing: every number comes from the describe stage or the engine's log."""

from lmbmd.report.index import features, index_page, write_index
from lmbmd.report.inputs import Results, StatePoint, load_results
from lmbmd.report.page import Page, formulation_page

__all__ = ["Page", "Results", "StatePoint", "features", "formulation_page", "index_page", "load_results", "write_index"]
