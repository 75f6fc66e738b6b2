"""What the literature says about solvation, as claims that a study can answer: their files, and the judge."""

from lmbmd.claims.judge import VERDICTS, judge_claims, tally
from lmbmd.claims.models import Claim, ClaimsFile, Source, load_claims, shipped_claims

__all__ = ["VERDICTS", "Claim", "ClaimsFile", "Source", "judge_claims", "load_claims", "shipped_claims", "tally"]
