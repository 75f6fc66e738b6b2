"""What the literature says about solvation, as claims that a study can answer: their files, and the judge."""
