"""What `lmbmd why` says differs, in the words of the keys that one writes."""

from lmbmd.simulate.protocol import differences
from lmbmd.study.why import _flat


def test_a_key_in_a_table_that_was_empty_is_one_change():
    old, new = (dict(_flat({"cutoffs_A": found, "stride": 1})) for found in ({}, {"FSI:O": 3.0}))
    assert differences(old, new) == ["cutoffs_A.FSI:O: absent → 3.0"]
    assert differences(new, old) == ["cutoffs_A.FSI:O: 3.0 → absent"]
