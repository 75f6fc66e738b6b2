"""Radii that were given in nm are told from radii in Å wherever one can be given."""

from pathlib import Path

import pytest

from lmbmd.analysis.options import AnalysisOptions
from lmbmd.core.errors import LmbmdError
from lmbmd.core.validation import validated
from lmbmd.trajectory.species_map import from_mapping

MAP = {
    "centre": "Li",
    "species": {"Li": {"resname": "LI"}, "FSI": {"resname": "FSI", "role": "anion", "sites": {"O": "O"}}},
}


@pytest.mark.parametrize(
    ("given", "key", "in_angstrom"),
    [
        ({"cutoffs_A": {"FSI:O": 0.28}}, "cutoffs_A.FSI:O", "2.8"),
        ({"cutoff_window_A": [0.23, 0.35]}, "cutoff_window_A.0", "2.3"),
        ({"cutoff_fallback_A": 0.28}, "cutoff_fallback_A", "2.8"),
        ({"search_radius_A": 0.5}, "search_radius_A", "5"),
        ({"search_radius_A": 0.5, "rdf_radius_A": 1.0}, "search_radius_A", "5"),
        ({"rdf_radius_A": 1.0}, "rdf_radius_A", "10"),
        ({"compactness": {"density_radius_A": 0.8}}, "compactness.density_radius_A", "8"),
        ({"cutoff_fallback_A": 1.19}, "cutoff_fallback_A", "11.9"),
    ],
)
def test_a_radius_in_nm_is_refused_in_the_options_of_an_analysis(given, key, in_angstrom):
    with pytest.raises(LmbmdError, match="shorter than any contact") as caught:
        validated(AnalysisOptions, given, path=Path("options"), lines={})
    assert caught.value.where == f"options:{key}"
    assert caught.value.remedy.endswith(f"if this is in nm, write {in_angstrom}.")


def test_a_cutoff_in_nm_is_refused_in_a_species_map():
    with pytest.raises(LmbmdError, match=r"0\.28 Å is shorter than any contact") as caught:
        from_mapping(MAP | {"cutoffs": {"FSI:O": 0.28}})
    assert "cutoffs.FSI:O" in caught.value.where and "write 2.8" in caught.value.remedy


def test_the_shortest_radius_that_can_be_meant_is_taken():
    assert from_mapping(MAP | {"cutoffs": {"FSI:O": 1.2}}).cutoffs_A == {"FSI:O": 1.2}
