"""Files of a user's own parameter set are read with the limits that recipes have."""

from __future__ import annotations

import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.forcefield.own import read_own
from lmbmd.forcefield.parameters import read_set

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join([f'*{chr(97 + k)}'] * 9)}]\n" for k in range(9)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "anchors and aliases"),
        ("extends: !!python/object/apply:os.system ['true']\n", "tag"),
        ("extends: [", "not YAML"),
        ("- 1\n", "holds no keys"),
        ("", "empty"),
        ("x: " + "y" * 400_000 + "\n", "bytes, more than"),
        ("extends: sage-clp-2.1.0\nspecies: 3\n", "no manifest"),
    ],
)
def test_a_hostile_manifest_is_refused_in_a_sentence(tmp_path, text, message):
    folder = tmp_path / "own-1.0.0"
    folder.mkdir()
    (folder / "manifest.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LmbmdError, match=rf"manifest\.yaml.*{message}"):
        read_own(folder)
    if "sage" not in text:
        with pytest.raises(LmbmdError, match=rf"manifest\.yaml.*{message}"):
            read_set(folder)
