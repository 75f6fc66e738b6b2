"""Kills, a full disk and damaged files on a tiny study as a user runs it: nothing is lost, nothing said that is not so.

A few cases of each; a hundred of each with ``LMBMD_CAMPAIGN=whole`` (hours), or by ``tests/campaign.py``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import campaign
import pytest

pytestmark = pytest.mark.slow

IS_WHOLE = os.environ.get("LMBMD_CAMPAIGN") == "whole"


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("campaign")


@pytest.mark.parametrize("number", range(15 if IS_WHOLE else 1))
def test_a_study_that_is_killed_again_and_again_ends_as_an_undisturbed_one(folder, number):
    assert campaign.kills(number, folder)["wrong"] == []


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="only root can mount a small file system")
@pytest.mark.parametrize("number", range(100 if IS_WHOLE else 1))
def test_a_study_on_a_full_disk_goes_on_with_space(folder, number):
    assert campaign.disks(number, folder)["wrong"] == []


@pytest.mark.parametrize("number", range(0, 320 if IS_WHOLE else 80, 1 if IS_WHOLE else 16))
def test_a_damaged_file_is_refused_or_mended_and_never_says_another_number(folder, number):
    assert campaign.damage(number, folder)["wrong"] == []
