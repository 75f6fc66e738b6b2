"""One list of dependencies, four doors: pyproject.toml, environment.yml, the recipe for conda, and the lock."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"snakemake-minimal": "snakemake", "matplotlib-base": "matplotlib"}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def declared(*extras: str) -> dict[str, Requirement]:
    lines = list(project()["dependencies"])
    for extra in extras:
        lines += project()["optional-dependencies"][extra]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def conda_specs() -> list[str]:
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    return [spec for spec in listed if isinstance(spec, str) and spec != "pip"]


def locked() -> dict[str, list[Requirement]]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    pins: dict[str, list[Requirement]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        requirement, _, hashes = line.partition("--hash=")
        assert re.fullmatch(r"(sha256:[0-9a-f]{64}(\s+--hash=)?)+", hashes), f"not hashed: {requirement}"
        pin = Requirement(requirement)
        pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def test_environment_yml_has_the_same_names_and_bounds():
    python, *rest = sorted(conda_specs(), key=lambda spec: not spec.startswith("python>"))
    assert python == "python" + project()["requires-python"]
    conda = {}
    for spec in rest:
        requirement = Requirement(spec)
        conda[canonicalize_name(CONDA_NAMES.get(requirement.name, requirement.name))] = requirement.specifier
    assert conda == {name: requirement.specifier for name, requirement in declared().items()}


def test_the_conda_recipe_asks_for_the_same():
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["requirements"]["run"] == conda_specs()
    assert set(project()["scripts"].items()) == {
        tuple(entry.split(" = ")) for entry in recipe["build"]["python"]["entry_points"]
    }
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]["requires"]
    assert [spec for spec in recipe["requirements"]["host"] if spec != "pip" and "python" not in spec] == build


@pytest.mark.parametrize("spec", conda_specs())
def test_every_conda_spec_is_valid(spec):
    rattler = pytest.importorskip("rattler", reason="py-rattler has no wheel for this machine")
    assert rattler.MatchSpec(spec, strict=True).name is not None


def test_lock_pins_every_dependency_within_its_bounds():
    pins = locked()
    for name, requirement in declared("slurm").items():
        assert name in pins, f"{name} is not in requirements.lock"
        for pin in pins[name]:
            (version,) = (s.version for s in pin.specifier if s.operator == "==")
            assert requirement.specifier.contains(version), f"{pin} is outside {requirement}"


def test_lock_names_no_index():
    assert "://" not in (ROOT / "requirements.lock").read_text(encoding="utf-8")
