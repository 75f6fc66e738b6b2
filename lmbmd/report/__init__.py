"""Figures and pages. Computes nothing: every number comes from the describe stage or the log of the engine."""
