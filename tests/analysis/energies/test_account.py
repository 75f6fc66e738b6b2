"""From the shells of replicas to descriptors and tables: every number by hand."""

from __future__ import annotations

import numpy as np
import pytest
from quantum_shells import made_up

from lmbmd.analysis.energies.shells_account import energies_account
from lmbmd.quantum.drawn import CLASSES

KEY = "GFN2-xTB, vacuum, sampled"


@pytest.fixture(scope="module")
def replicas():
    rng = np.random.default_rng(7)
    return [made_up(rng, failed=2), made_up(rng, failed=0)]


def numbers(replicas, kind):
    """What was found of each computed shell of a class."""
    every = [shell["found"][KEY] for one in replicas for shell in one.shells if shell["kind"] == kind]
    return [found for found in every if "why_not" not in found]


def test_descriptors_are_means_over_shells_weighted_with_the_shares_of_their_classes(replicas):
    account = energies_account(replicas)
    value = {(row.name, row.species): row.value for row in account.rows}
    counts = np.concatenate([one.counts for one in replicas]).sum(axis=0)
    share = counts / counts.sum()
    means = [np.mean([f["binding_kJ_mol"] for f in numbers(replicas, kind)]) for kind in CLASSES]
    for kind, mean in zip(CLASSES, means, strict=True):
        assert value["shell_binding_kJ_mol", kind] == pytest.approx(mean)
    assert value["shell_binding_kJ_mol", "Li"] == pytest.approx(share @ means)
    total, number = np.zeros(4), np.zeros(4)
    for c, kind in enumerate(CLASSES):
        found = numbers(replicas, kind)
        of = [m["homo_eV"] for f in found for m in f["molecules"] if m["species"] == "DME"]
        total[c], number[c] = sum(of) / len(found), len(of) / len(found)
    assert value["homo_shift_eV", "DME"] == pytest.approx(share @ total / (share @ number) + 11.0)
    assert value["free_lumo_eV", "FSI"] == 3.0
    assert value["energies_failed_fraction", "Li"] == pytest.approx(2 / 48)


def test_what_failed_is_counted_with_its_reason(replicas):
    drawn = energies_account(replicas).tables["energies_drawn"]
    cip = drawn[(drawn.medium == "vacuum") & (drawn.method == "GFN2-xTB") & (drawn.kind == "CIP")].iloc[0]
    assert (cip.drawn, cip.computed, cip.why_not) == (12, 10, "SCF not converged in 250 cycles")


def test_methods_are_compared_on_the_same_shells(replicas):
    compared = energies_account(replicas).tables["energies_compared"]
    row = compared[
        (compared.method == "PBE0/def2-svp")
        & (compared.medium == "vacuum")
        & (compared.quantity == "shell_binding_kJ_mol")
    ].iloc[0]
    pairs = [
        (shell["found"][KEY]["binding_kJ_mol"], shell["found"]["PBE0/def2-svp, vacuum, sampled"]["binding_kJ_mol"])
        for one in replicas
        for shell in one.shells
        if "why_not" not in shell["found"][KEY]
    ]
    one, other = np.array(pairs).T
    assert row.number == len(pairs) == 46
    assert row.difference == pytest.approx(np.mean(other - one))
    assert row.rms == pytest.approx(np.sqrt(np.mean((other - one) ** 2)))
    assert row.correlation == pytest.approx(np.corrcoef(one, other)[0, 1])


def test_where_nothing_converged_there_is_a_reason_instead_of_a_number():
    rng = np.random.default_rng(8)
    one = made_up(rng, dft=False)
    for shell in one.shells:
        shell["found"][KEY] = {"why_not": "SCF not converged in 250 cycles"}
    rows = {row.name: row for row in energies_account([one]).rows if row.species == "Li"}
    assert np.isnan(rows["shell_binding_kJ_mol"].value) and rows["shell_binding_kJ_mol"].doubt_kind == "no_energy"
    assert rows["energies_failed_fraction"].value == 1.0


def test_where_no_variant_has_energies_there_is_nothing_to_compare():
    one = made_up(np.random.default_rng(9))
    for shell in one.shells:
        shell["found"] = {name: {"why_not": "SCF not converged in 250 cycles"} for name in shell["found"]}
    account = energies_account([one])
    assert "energies_compared" not in account.tables and account.tables["energies_shells"].empty


def test_nothing_is_compared_with_a_first_variant_that_failed():
    """And not with the next one, which is in another medium."""
    one = made_up(np.random.default_rng(10))
    for shell in one.shells:
        shell["found"][KEY] = {"why_not": "SCF not converged in 250 cycles"}
    assert "energies_compared" not in energies_account([one]).tables
