"""The page on adding a descriptor is followed to the letter, in a copy of lmbmd."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/add_a_descriptor.md"

#: Describes a small box with the copy, makes its page, and runs the page's own test.
FOLLOWED = """
import importlib.util, sys
from pathlib import Path
import numpy as np
import pytest
import report_inputs, systems
from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.analysis.describe import describe
from lmbmd.analysis.options import DescribeOptions
from lmbmd.data.contacts import ContactList
from lmbmd.data.rdf import Rdf
from lmbmd.report.inputs import load_results
from lmbmd.report.pages.page import formulation_page

here = Path(sys.argv[1])
assert str(here) in sys.modules["lmbmd"].__file__
atoms = systems.atom_table((systems.LI, 3), (systems.FSI, 3), (systems.DME, 6))
frames = [systems.frame(atoms, [(0, ("FSI", 0), 1, 2.1), (1, ("DME", i % 2), 0, 2.0)], i) for i in range(6)]
edges = np.arange(0, 10.01, 0.05)
pairs = tuple(("Li", partner) for partner in (*atoms.sites, "Li", "FSI", "DME"))
flat = np.ones((1, len(pairs), len(edges) - 1))
rdf = Rdf(edges, pairs, flat, 0.001 * flat, np.array([6]), 10.0)
quick = DescribeOptions(compactness=CompactnessOptions(frames=2, shuffles=2, neighbourhoods=2))
described = describe([(ContactList(frames, 5.0), rdf)], atoms, quick, progress=False)
results = report_inputs.write_study(here / "study", names=("lifsi-dme",))
described.write(results / "lifsi-dme/298.15K")
html = formulation_page(load_results(results / "lifsi-dme")).html

rows = described.descriptors[described.descriptors.name == "contact_distance_A"].set_index("species")
assert rows.value["DME:O_ether"] == pytest.approx(2.0) and rows.value["FSI:O"] == pytest.approx(2.1), rows
assert (results / "lifsi-dme/298.15K/tables/contact_distances.csv").is_file()
assert "Contact distance" in html and 'id="def-contact_distance"' in html
assert "mean distance of the donor atoms in the first shell of Li" in html
spec = importlib.util.spec_from_file_location("followed", here / "tests/analysis/shells/test_distance.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.test_the_contact_distance_is_the_mean_over_contacts_not_over_frames()
"""


def apply(page: str, folder: Path) -> list[str]:
    """Write the page's files into a folder and make its changes there; returns the names of the files."""
    names = []
    for kind, name, text in re.findall(r"^```(\w+)\n ?# (\S+)\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL):
        path = folder / name
        if kind == "diff":
            lines = text.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if not line.startswith("+"))
            whole = path.read_text("utf-8")
            assert whole.count(before) == 1, f"{name} does not hold what the page changes"
            text = whole.replace(before, "".join(line[1:] for line in lines))
        else:
            assert not path.exists()
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        names.append(name)
    return names


@pytest.mark.slow
def test_a_new_descriptor_comes_out_of_describe_its_table_and_the_page(tmp_path):
    # With the compiled kernels, which stay valid as the files keep their times.
    shutil.copytree(ROOT / "lmbmd", tmp_path / "lmbmd")
    for name in ("force_fields", "catalogue", "claims"):
        (tmp_path / name).symlink_to(ROOT / name)
    changed = apply(PAGE.read_text("utf-8"), tmp_path)
    assert len([name for name in changed if name.startswith("lmbmd/analysis/shells/distance")]) == 3
    assert changed.count("lmbmd/analysis/families.py") == 1
    (tmp_path / "followed.py").write_text(FOLLOWED, "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "tests")])}
    command = [sys.executable, str(tmp_path / "followed.py"), str(tmp_path)]
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
