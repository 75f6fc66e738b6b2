"""Numbers of motion against walks whose numbers are known, and what becomes of them where they cannot be known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import systems
from systems import DME, FSI, LI
from walks import table, walk

from lmbmd.analysis.dynamics.coefficients import conductivity_S_m, viscosity_mPa_s, without_images
from lmbmd.analysis.dynamics.found import is_subdiffusive
from lmbmd.analysis.dynamics.motion import Motion
from lmbmd.analysis.dynamics.motion_account import motion_account
from lmbmd.analysis.dynamics.moved import moved
from lmbmd.analysis.dynamics.segments import PressureSeries, Segment
from lmbmd.core.errors import LmbmdError
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import Estimate
from lmbmd.numbers.running import end_exponent
from lmbmd.numbers.sequences import particles
from lmbmd.simulate.conserved import Conserved

EDGE_A, T_K = 25.0, 300.0
BOX = np.eye(3) * EDGE_A
NO_EXCHANGE = pd.DataFrame(columns=["centre", "partner", "tau_ps", "error", "degrees_of_freedom", "losses", "why"])
NVT = Segment(None, 1, T_K, "NVT", "nose-hoover", 0.0)
#: Doubts that the tests of a value do not mind: of how well an error is known.
OF_ERRORS = {"", "few_samples", "skewed", "replicas_disagree"}


def liquid(ions=8, solvent=16):
    return systems.atom_table((LI, ions), (FSI, ions), (DME, solvent))


def motion(atoms, path, contacts=(), box=BOX, interval_ps=1.0, segment=NVT):
    """What is kept of one segment: mass centres as written down."""
    fold = Motion(atoms, "Li")
    for one in table(atoms, path, box, interval_ps, contacts=contacts):
        fold.add(systems.first(atoms, one))
    return moved(fold.result(), atoms, "Li", segment)


def account(atoms, found, exchange=NO_EXCHANGE):
    said = motion_account(found, atoms, "Li", exchange)
    return {(row.name, row.species): row for row in said.rows}, said


def start(rng, atoms):
    return rng.uniform(0, EDGE_A, (atoms.n_molecules, 3))


DEVIATION_A = {"Li": 0.3, "FSI": 0.4, "DME": 0.7}


def per_molecule(atoms):
    return np.array([DEVIATION_A[s.name] for s in atoms.species])[atoms.molecule_species]


def slopes(atoms, covariance):
    """d<Δa·Δb>/dt (Å²/ps) of the species' sums in the barycentric frame, from the covariance of steps of all molecules
    along one axis, Å² per frame of 1 ps; and each species' own, mean over its molecules."""
    mass = np.add.reduceat(atoms.mass_amu, atoms.first_atom[:-1])
    frame = np.eye(len(mass)) - (mass / mass.sum())[None, :]
    steps = 3 * frame @ covariance @ frame.T
    of = (atoms.molecule_species == np.arange(len(atoms.species))[:, None]).astype(float)
    return of @ steps @ of.T, of @ np.diag(steps) / of.sum(axis=1), steps


@pytest.fixture(scope="module")
def independent():
    """Walks that know nothing of each other, six segments."""
    rng, atoms = np.random.default_rng(1), liquid()
    paths = [start(rng, atoms) + walk(rng, 1200, per_molecule(atoms)) for _ in range(6)]
    rows, said = account(atoms, [motion(atoms, p, segment=replace(NVT, replica=i)) for i, p in enumerate(paths, 1)])
    return atoms, rows, said, slopes(atoms, np.diag(per_molecule(atoms) ** 2))


def near(row, expected, errors=4.0):
    """Within so many of its errors, which must not be so wide that it says nothing."""
    assert row.doubt_kind in OF_ERRORS, row
    assert abs(row.value - expected) < errors * row.error, (row.name, row.species, row.value, row.error, expected)
    return True


def test_self_diffusion_is_that_of_the_walks(independent):
    atoms, rows, _, (_, own, _) = independent
    for k, species in enumerate(atoms.species):
        row = rows["self_diffusion_m2_s", species.name]
        assert near(row, own[k] / 6 * 1e-8) and row.error < 0.1 * row.value
        assert near(rows["msd_exponent", species.name], 1.0)
        assert rows["msd_exponent", species.name].error < 0.2


def test_pairs_of_ions_are_named_cation_first_whatever_the_order_of_species():
    rng = np.random.default_rng(2)
    atoms = systems.atom_table((FSI, 8), (LI, 8), (DME, 16))
    rows, said = account(atoms, [motion(atoms, start(rng, atoms) + walk(rng, 200, per_molecule(atoms)), segment=NVT)])
    pairs = {species for name, species in rows if name == "onsager_barycentric_S_m"}
    assert pairs == {"Li|Li", "Li|FSI", "FSI|FSI"}
    assert set(zip(*(said.tables["onsager"][side] for side in ("first", "second")), strict=True)) == {
        tuple(pair.split("|")) for pair in pairs
    }


def test_conductivity_and_onsager_coefficients_are_those_of_the_walks(independent):
    _, rows, _, (cross, own, _) = independent
    factor = conductivity_S_m(1.0, EDGE_A**3, T_K)
    sigma = factor * (cross[0, 0] + cross[1, 1] - 2 * cross[0, 1])
    ideal = factor * 8 * (own[0] + own[1])
    assert near(rows["conductivity_S_m", ""], sigma) and rows["conductivity_S_m", ""].error < 0.15 * sigma
    assert near(rows["conductivity_nernst_einstein_S_m", ""], ideal)
    assert near(rows["ionicity", ""], sigma / ideal)
    assert near(rows["onsager_barycentric_S_m", "Li|Li"], factor * cross[0, 0])
    assert near(rows["onsager_barycentric_S_m", "Li|FSI"], -factor * cross[0, 1])
    assert near(rows["onsager_barycentric_S_m", "FSI|FSI"], factor * cross[1, 1])
    assert near(rows["onsager_barycentric_self_S_m", "Li|Li"], factor * 8 * own[0])
    assert near(rows["onsager_barycentric_distinct_S_m", "Li|Li"], factor * (cross[0, 0] - 8 * own[0]))
    assert ("onsager_barycentric_self_S_m", "Li|FSI") not in rows


def test_transference_depends_on_the_frame_as_it_must(independent):
    _, rows, _, (cross, own, steps) = independent
    sigma = cross[0, 0] + cross[1, 1] - 2 * cross[0, 1]
    assert near(rows["transference_nernst_einstein", "Li"], own[0] / (own[0] + own[1]))
    assert near(rows["transference_barycentric", "Li"], (cross[0, 0] - cross[0, 1]) / sigma)
    # Relative to the solvent, whose mass centre is the mean of 16 equal molecules.
    weight = np.repeat([0.0, 1 / 16], [16, 16])
    frame = np.eye(32) - weight[None, :]
    relative = frame @ steps @ frame.T
    expected = (relative[:8, :8].sum() - relative[:8, 8:16].sum()) / sigma
    assert near(rows["transference_solvent", "Li"], expected)
    assert rows["transference_solvent", "Li"].error < 0.08
    assert abs(expected - (cross[0, 0] - cross[0, 1]) / sigma) > 0.2


def test_parts_add_up_to_their_wholes(independent):
    _, rows, said, _ = independent
    value = lambda name, species="": rows[name, species].value  # noqa: E731
    for frame in ("barycentric", "solvent"):
        parts = [value(f"onsager_{frame}_S_m", pair) for pair in ("Li|Li", "FSI|FSI", "Li|FSI", "Li|FSI")]
        assert sum(parts) == pytest.approx(value("conductivity_S_m"), rel=1e-9)
    own = sum(value("onsager_barycentric_self_S_m", f"{ion}|{ion}") for ion in ("Li", "FSI"))
    assert own == pytest.approx(value("conductivity_nernst_einstein_S_m"), rel=1e-9)
    kinds = said.tables["onsager"].groupby(["frame", "part"])["value_S_m"].sum()
    assert kinds["barycentric", "self"] + kinds["barycentric", "distinct"] == pytest.approx(
        kinds["barycentric", "total"], rel=1e-9
    )


def test_without_a_shell_no_share_is_the_shell_s(independent):
    _, rows, _, _ = independent
    assert rows["vehicular_share", "Li"].value == pytest.approx(0.0, abs=1e-9)
    assert rows["conductivity_share", "single"].value == pytest.approx(1.0)
    assert rows["diffusion_by_state_m2_s", "Li:CIP"].doubt_kind == "undefined"


def test_pairs_that_walk_together_carry_nothing():
    rng, atoms = np.random.default_rng(2), liquid()
    paths = []
    for _ in range(4):
        path = walk(rng, 800, per_molecule(atoms))
        path[:, 8:16] = path[:, :8] + 0.05 * rng.normal(size=(800, 8, 3))
        paths.append(5.0 + path)
    bonds = [[(k, ("FSI", k), 1) for k in range(8)]] * 800
    rows, _ = account(atoms, [motion(atoms, p, bonds) for p in paths])
    ideal = rows["conductivity_nernst_einstein_S_m", ""].value
    sigma = rows["conductivity_S_m", ""]
    # They only rattle against each other: no conductivity, and so no transference; a bound says it.
    assert sigma.doubt_kind in ("too_short_below", "few_samples", "skewed", "") and not sigma.value > 0.02 * ideal
    assert rows["vehicular_share", "Li"].value == pytest.approx(1.0, abs=0.03)
    if np.isnan(sigma.value):
        assert 0 < sigma.doubt_n < 0.05 * ideal
        assert rows["ionicity", ""].doubt_kind == sigma.doubt_kind or rows["ionicity", ""].doubt


@pytest.mark.slow
def test_two_parts_of_a_state_each_have_the_diffusion_of_their_steps():
    """Steps independent of one another, larger in one state: the split says exactly so."""
    rng, atoms = np.random.default_rng(3), liquid(ions=12, solvent=30)
    found = []
    for _ in range(5):
        is_pair = np.repeat(rng.random((100, 12)) < 0.4, 10, axis=0)  # states of ten frames
        steps = rng.normal(size=(1000, 42 + 12, 3)) * 0.2
        # Step k leads from frame k − 1 to k: where both are of one state it is that state's.
        pair_step = np.concatenate([is_pair[:1], is_pair[:-1] & is_pair[1:]])
        mixed = np.concatenate([np.zeros((1, 12), bool), is_pair[:-1] ^ is_pair[1:]])
        steps[:, :12] *= np.where(mixed, 0.0, np.where(pair_step, 0.5, 2.0))[..., None]
        steps[0] = 0
        bonds = [[(int(c), ("FSI", int(c)), 1) for c in np.flatnonzero(now)] for now in is_pair]
        found.append((is_pair, motion(atoms, np.cumsum(steps, axis=0) + start(rng, atoms), bonds)))
    rows, _ = account(atoms, [m for _, m in found])
    whole = rows["self_diffusion_m2_s", "Li"].value
    cip, ssip = (rows["diffusion_by_state_m2_s", f"Li:{name}"] for name in ("CIP", "SSIP"))
    share = np.mean([p.mean() for p, _ in found])
    assert share * cip.value + (1 - share) * ssip.value == pytest.approx(whole, rel=0.05)
    # A tenth of the steps, those from one state to the other, are no steps.
    moving = np.array([np.mean([(p[1:] & p[:-1]).sum() / p.sum() for p, _ in found]), 0.0])
    moving[1] = np.mean([((~p[1:]) & (~p[:-1])).sum() / (~p).sum() for p, _ in found])
    assert near(cip, moving[0] * 0.1**2 / 2 * 1e-8, 5) and near(ssip, moving[1] * 0.4**2 / 2 * 1e-8, 5)
    assert cip.value < 0.2 * ssip.value


@pytest.mark.slow
def test_an_ion_that_is_carried_is_told_from_one_that_hops():
    rng, atoms = np.random.default_rng(4), liquid(ions=10, solvent=30)
    bonds = [[(k, ("DME", k), 0) for k in range(10)]] * 800

    def share(of_shell):
        found = []
        for _ in range(4):
            path = walk(rng, 800, np.full(50, 0.4))
            hops = walk(rng, 800, np.full(10, 0.4))
            path[:, :10] = path[:, 20:30] * of_shell + hops * (1 - of_shell) + 0.1 * rng.normal(size=(800, 10, 3))
            found.append(motion(atoms, path + 5.0, bonds))
        return account(atoms, found)[0]["vehicular_share", "Li"]

    assert share(1.0).value == pytest.approx(1.0, abs=0.05)
    # Of ½ shell + ½ hops, half of it is correlated with the shell: ½ of ½.
    half = share(0.5)
    assert near(half, 1.0)


def test_how_far_a_centre_goes_while_a_partner_stays():
    atoms = liquid()
    exchange = pd.DataFrame([("Li", "DME", 50.0, 5.0, 9.0, 40.0, SURE)], columns=NO_EXCHANGE.columns)
    rng = np.random.default_rng(5)
    found = [motion(atoms, start(rng, atoms) + walk(rng, 600, per_molecule(atoms))) for _ in range(4)]
    rows, _ = account(atoms, found, exchange)
    diffusion, length = rows["self_diffusion_m2_s", "Li"], rows["displacement_per_residence_A", "DME"]
    assert length.value == pytest.approx(np.sqrt(6 * diffusion.value * 1e8 * 50.0))
    relative = np.hypot(diffusion.error / diffusion.value, 0.1)
    assert length.error == pytest.approx(0.5 * relative * length.value)
    exchange.loc[0, ["tau_ps", "error"]] = np.nan
    exchange.at[0, "why"] = Doubt(Kind.NO_LOSS_TIME, n=700.0)
    rows, _ = account(atoms, found, exchange)
    row = rows["displacement_per_residence_A", "DME"]
    assert np.isnan(row.value) and row.doubt_kind == "no_loss_time"


def relaxing(rng, n, tau, variance):
    """Ornstein–Uhlenbeck pressures: xx, yy, zz, xy, xz, yz whose deviators all have ∫<p(0)p(t)>dt = variance · tau."""
    decay = np.exp(-1.0 / tau)
    noise = rng.normal(size=(n, 6)) * np.sqrt(variance * (1 - decay**2))
    noise[0] = rng.normal(size=6) * np.sqrt(variance)
    found = np.empty((n, 6))
    found[0] = noise[0]
    for i in range(1, n):
        found[i] = decay * found[i - 1] + noise[i]
    found[:, :3] *= np.sqrt(2.0)  # (xx − yy) / 2 of independent xx and yy has half of their variance
    return found


def test_viscosity_and_with_it_diffusion_without_images():
    rng, atoms = np.random.default_rng(6), liquid()
    found = []
    for i in range(4):
        log = PressureSeries(0.05, relaxing(rng, 20000, tau=4.0, variance=400.0**2))
        segment = replace(NVT, replica=i + 1, pressure=log)
        found.append(motion(atoms, start(rng, atoms) + walk(rng, 600, per_molecule(atoms)), segment=segment))
    rows, said = account(atoms, found)
    expected = viscosity_mPa_s(400.0**2 * (0.5 + np.exp(-0.25) / (1 - np.exp(-0.25))) * 0.05, EDGE_A**3, T_K)
    viscosity = rows["viscosity_mPa_s", ""]
    assert near(viscosity, expected) and viscosity.error < 0.1 * expected
    inside, outside = rows["self_diffusion_m2_s", "Li"], rows["self_diffusion_unbounded_m2_s", "Li"]
    told = [Estimate(row.value, row.error, row.n_effective, row.degrees_of_freedom) for row in (inside, viscosity)]
    free = without_images(*told, BOX, T_K)
    assert (outside.value, outside.error) == pytest.approx((free.value, free.error))
    assert outside.value > inside.value
    running = said.tables["running_integrals"].groupby("quantity")
    assert set(running.groups) == {"conductivity", "viscosity"}
    assert set(running.get_group("viscosity")["unit"]) == {"mPa s"}


@pytest.mark.parametrize(("every", "kind"), [(1, ""), (4, ""), (40, "aliased"), (200, "aliased")])
def test_a_pressure_that_was_logged_too_rarely_is_doubted(every, kind):
    rng, atoms = np.random.default_rng(7), liquid()
    log = PressureSeries(0.05 * every, relaxing(rng, 40000, tau=10.0, variance=300.0**2)[::every])
    rows, _ = account(atoms, [motion(atoms, walk(rng, 40, per_molecule(atoms)), segment=replace(NVT, pressure=log))])
    viscosity = rows["viscosity_mPa_s", ""]
    assert viscosity.doubt_kind == kind and viscosity.value > 0
    assert rows["self_diffusion_unbounded_m2_s", "DME"].doubt_kind == kind


def test_a_pressure_of_nothing_gives_no_viscosity_and_no_correction():
    rng, atoms = np.random.default_rng(8), liquid()
    log = PressureSeries(0.05, np.zeros((500, 6)))
    rows, _ = account(atoms, [motion(atoms, walk(rng, 40, per_molecule(atoms)), segment=replace(NVT, pressure=log))])
    free = rows["self_diffusion_unbounded_m2_s", "DME"]
    assert np.isnan(free.value) and free.doubt_kind == "no_viscosity"


# ------------------------------------------------------------------ what does not change a number


def values(rows, name):
    return np.array([row.value for (n, _), row in rows.items() if n == name])


MEASURED = ("self_diffusion_m2_s", "conductivity_S_m", "transference_solvent", "onsager_barycentric_S_m")


@pytest.mark.parametrize("name", MEASURED)
def test_a_box_that_breathes_changes_no_number(name):
    rng, atoms = np.random.default_rng(7), liquid()
    path = start(rng, atoms) + walk(rng, 600, per_molecule(atoms))
    scale = 1 + 0.01 * rng.normal(size=600)
    scale /= scale.mean()
    breathing = motion(atoms, path * scale[:, None, None], box=scale[:, None, None] * BOX)
    still = motion(atoms, path)
    for one in (breathing, still):  # the same volume: only the displacements are compared
        assert one.box_A == pytest.approx(BOX)
    a = account(atoms, [replace(breathing, volume_A3=still.volume_A3)])[0]
    b = account(atoms, [still])[0]
    assert values(a, name) == pytest.approx(values(b, name), rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("name", MEASURED)
def test_the_order_of_molecules_changes_no_number(name):
    rng, atoms = np.random.default_rng(8), liquid()
    path = start(rng, atoms) + walk(rng, 600, per_molecule(atoms))
    order = np.concatenate([rng.permutation(8), 8 + rng.permutation(8), 16 + rng.permutation(16)])
    a, b = (account(atoms, [motion(atoms, p)])[0] for p in (path, path[:, order]))
    assert values(a, name) == pytest.approx(values(b, name), rel=1e-4, nan_ok=True)


def test_two_boxes_side_by_side_have_the_diffusion_of_one_and_twice_its_displaced_charge():
    rng, one, two = np.random.default_rng(9), liquid(), liquid(16, 32)
    path = start(rng, one) + walk(rng, 600, per_molecule(one))
    twice = np.concatenate([np.repeat(part, 2, axis=1) for part in np.split(path, [8, 16], axis=1)], axis=1)
    twice[:, 1::2, 0] += EDGE_A
    a = account(one, [motion(one, path)])[0]
    b = account(two, [motion(two, twice, box=np.diag([2 * EDGE_A, EDGE_A, EDGE_A]))])[0]
    assert values(b, "self_diffusion_m2_s") == pytest.approx(values(a, "self_diffusion_m2_s"), rel=1e-4)
    # Copies move together: four times <ΔP²> in twice the volume.
    assert values(b, "conductivity_S_m") == pytest.approx(2 * values(a, "conductivity_S_m"), rel=1e-4)


def test_two_halves_say_what_the_whole_says():
    rng, atoms = np.random.default_rng(10), liquid()
    path = start(rng, atoms) + walk(rng, 2001, per_molecule(atoms))
    whole = account(atoms, [motion(atoms, path)])[0]
    parts = account(atoms, [motion(atoms, path[:1001]), motion(atoms, path[1000:])])[0]
    for key in (("self_diffusion_m2_s", "DME"), ("conductivity_S_m", "")):
        assert abs(whole[key].value - parts[key].value) < whole[key].error


# ------------------------------------------------------------------ what cannot be known


def few(atoms, n=300, seed=11, **more):
    rng = np.random.default_rng(seed)
    return motion(atoms, start(rng, atoms) + walk(rng, n, per_molecule(atoms)), **more)


def test_a_thermostat_that_damps_is_doubted_and_one_that_does_not_is_not():
    atoms, mild = liquid(), replace(NVT, friction_per_ps=0.01)
    damping = replace(NVT, ensemble="NPT", friction_per_ps=1.0)
    rows, said = account(atoms, [few(atoms, 500, seed, segment=damping) for seed in range(3)])
    row = rows["conductivity_nernst_einstein_S_m", ""]
    assert row.doubt_kind == "damped" and row.doubt_n == 1.0 and np.isfinite(row.value)
    told = {row.doubt_kind for (name, _), row in rows.items() if np.isfinite(row.value)}
    assert "" not in told and np.isfinite(rows["transference_barycentric", "Li"].value)
    assert any("friction of 1/ps" in note["text"] for note in said.notes)
    rows, said = account(atoms, [few(atoms, 500, seed, segment=mild) for seed in range(3)])
    assert "damped" not in {row.doubt_kind for row in rows.values()} and not said.notes


def test_without_a_temperature_there_is_diffusion_and_no_conductivity():
    atoms = liquid()
    rows, said = account(atoms, [few(atoms, segment=Segment(None, 1))])
    assert rows["self_diffusion_m2_s", "DME"].value > 0
    for name in ("conductivity_S_m", "conductivity_nernst_einstein_S_m", "ionicity", "transference_solvent"):
        row = next(row for (n, _), row in rows.items() if n == name)
        assert np.isnan(row.value) and row.doubt_kind == "no_temperature"
    assert any("temperature" in note["text"] for note in said.notes)


def test_what_moved_at_constant_energy_moved_at_its_own_temperature():
    """σ = (slope) / 6 V k T: at twice the temperature the same displacements are half the conductivity."""
    atoms, free = liquid(), replace(NVT, ensemble="NVE", thermostat="", conserved=Conserved(2 * T_K, 0.25))
    nominal, own = (account(atoms, [few(atoms, 500, seed, segment=s) for seed in range(3)]) for s in (NVT, free))
    for name in ("conductivity_nernst_einstein_S_m", "conductivity_S_m"):
        assert nominal[0][name, ""].value > 0
        assert own[0][name, ""].value == pytest.approx(nominal[0][name, ""].value / 2)
    run, *_ = own[1].tables["motion_runs"].itertuples()
    assert (run.temperature_K, run.energy_drift_kJ_mol_ns_per_atom) == (2 * T_K, 0.25)
    assert nominal[1].tables["motion_runs"].energy_drift_kJ_mol_ns_per_atom.isna().all()


def test_a_box_with_a_net_charge_has_no_conductivity():
    atoms = systems.atom_table((LI, 8), (FSI, 7), (DME, 16))
    rows, _ = account(atoms, [few(atoms)])
    assert rows["conductivity_S_m", ""].doubt_kind == "net_charge" and rows["conductivity_S_m", ""].doubt_n == 1.0
    assert "net_charge" in {row.doubt_kind for (name, _), row in rows.items() if name == "conductivity_share"}


def test_a_molten_salt_has_no_solvent_to_be_measured_against():
    atoms = systems.atom_table((LI, 8), (FSI, 8))
    rows, _ = account(atoms, [few(atoms, 800)])
    assert rows["transference_solvent", "Li"].doubt_kind == "no_solvent"
    assert rows["onsager_solvent_S_m", "Li|FSI"].doubt_kind == "no_solvent"
    # Momentum: the masses alone say the barycentric one.
    mass = [atoms.mass_amu[atoms.species_id == k].sum() for k in (0, 1)]
    assert rows["transference_barycentric", "Li"].value == pytest.approx(mass[1] / sum(mass), rel=1e-3)


def test_without_a_pressure_log_diffusion_without_images_says_why():
    atoms = liquid()
    rows, _ = account(atoms, [few(atoms)])
    assert rows["viscosity_mPa_s", ""].doubt_kind == "no_pressure"
    row = rows["self_diffusion_unbounded_m2_s", "DME"]
    assert row.doubt_kind == "no_viscosity" and "the pressure tensor was not logged" in row.method


def test_steps_that_might_lead_round_the_box_are_refused():
    rng, atoms = np.random.default_rng(12), liquid()
    path = walk(rng, 100, np.full(atoms.n_molecules, 4.0))
    with pytest.raises(LmbmdError, match=r"% of the box .* cannot be determined") as raised:
        account(atoms, [motion(atoms, path, interval_ps=20.0)])
    assert "20 ps" in str(raised.value) and "Write frames more often" in str(raised.value)


def test_runs_with_frames_at_different_intervals_are_refused():
    atoms = liquid()
    with pytest.raises(LmbmdError, match=r"its frames are 2 ps apart, those of the first run 1 ps") as raised:
        account(atoms, [few(atoms), few(atoms, interval_ps=2.0)])
    assert "run 2" in str(raised.value)


def test_runs_of_boxes_of_different_density_are_refused():
    atoms = liquid()
    with pytest.raises(LmbmdError, match=r"run 2: its box has 19\.53 nm³, that of the first run 15\.62 nm³"):
        account(atoms, [few(atoms), few(atoms, box=np.diag([EDGE_A, EDGE_A, 1.25 * EDGE_A]))])


def test_a_single_frame_shows_no_motion():
    atoms = liquid()
    with pytest.raises(LmbmdError, match="a single frame shows no motion"):
        few(atoms, 1)


@pytest.mark.parametrize("n", [2, 3, 5, 12, 30])
def test_short_runs_have_reasons_instead_of_numbers_that_look_like_some(n):
    atoms = liquid()
    rows, _ = account(atoms, [few(atoms, n)])
    for row in rows.values():
        assert not np.isnan(row.value) or row.doubt_kind, row
        assert not np.isnan(row.error) or row.doubt_kind, row
    if n <= 3:
        assert np.isnan(rows["conductivity_S_m", ""].value)


def caged(rng, atoms, n, rattle_ps, tau_ps):
    """Walks that rattle about a place that itself walks slowly."""
    path, decay = walk(rng, n, 0.05 * per_molecule(atoms)), np.exp(-1.0 / tau_ps)
    rattle = rng.normal(size=(atoms.n_molecules, 3)) * rattle_ps
    for frame in path:
        rattle = decay * rattle + rng.normal(size=rattle.shape) * rattle_ps * np.sqrt(1 - decay**2)
        frame += rattle
    return start(rng, atoms) + path


def test_molecules_still_in_their_cages_have_a_bound_and_not_a_value():
    rng, atoms = np.random.default_rng(14), liquid(ions=12, solvent=12)
    expected = slopes(atoms, np.diag((0.05 * per_molecule(atoms)) ** 2))[1][2] / 6 * 1e-8
    rows, _ = account(atoms, [motion(atoms, caged(rng, atoms, 60, 0.5, 10.0)) for _ in range(4)])
    row, exponent = rows["self_diffusion_m2_s", "DME"], rows["msd_exponent", "DME"]
    assert exponent.value < 0.85
    assert np.isnan(row.value) and row.doubt_kind in ("not_diffusive", "too_short_below") and row.doubt_n > expected
    assert np.isnan(rows["conductivity_nernst_einstein_S_m", ""].value)


@pytest.mark.slow
def test_molecules_that_have_left_their_cages_have_a_value():
    rng, atoms = np.random.default_rng(15), liquid(ions=12, solvent=12)
    expected = slopes(atoms, np.diag((0.05 * per_molecule(atoms)) ** 2))[1][2] / 6 * 1e-8
    rows, _ = account(atoms, [motion(atoms, caged(rng, atoms, 4000, 0.1, 5.0)) for _ in range(4)])
    assert near(rows["self_diffusion_m2_s", "DME"], expected)


def test_walks_are_rarely_called_not_diffusive_and_cages_often():
    """Five per cent at most by construction; runs that are long never, for their exponents are not below 0.9."""
    rng = np.random.default_rng(16)

    def called(path_of, trials=100):
        exponents = [end_exponent([particles(path_of(), 1.0)])[0] for _ in range(trials)]
        return np.mean([is_subdiffusive(exponent) for exponent in exponents])

    few_ions = lambda: np.cumsum(rng.normal(size=(200, 5, 3)), axis=0)  # noqa: E731
    cages = lambda: rng.normal(size=(200, 5, 3)) * 3 + 0.3 * few_ions()  # noqa: E731
    assert called(few_ions) < 0.12  # of 100 trials at 5 %
    assert called(cages) > 0.6


def in_cages(rng, n_frames, n, tau=30.0, deviation_A=0.03):
    """Slow walks on which a cage of 1 Å rattles: D is deviation² / 2 per frame, and far less than a short run shows."""
    keep, rattle = np.exp(-1.0 / tau), np.empty((n_frames, n, 3))
    rattle[0] = rng.normal(size=(n, 3))
    for i in range(1, n_frames):
        rattle[i] = keep * rattle[i - 1] + np.sqrt(1 - keep**2) * rng.normal(size=(n, 3))
    return rattle + walk(rng, n_frames, np.full(n, deviation_A))


@pytest.mark.parametrize("seed", [2, 3])
def test_ions_that_are_still_in_their_cages_tell_no_conductivity_and_nothing_that_is_made_of_it(seed):
    rng, atoms = np.random.default_rng(seed), liquid()
    bonds = [[(k, ("FSI", k), 1) for k in range(8) if (i // 15 + k) % 3] for i in range(100)]
    rows, said = account(atoms, [motion(atoms, start(rng, atoms) + in_cages(rng, 100, 32), bonds)])
    assert np.isnan(rows["self_diffusion_m2_s", "Li"].value)
    told = ("conductivity", "ionicity", "onsager", "transference", "diffusion_by_state", "vehicular")
    known = {key: row.value for key, row in rows.items() if key[0].startswith(told) and np.isfinite(row.value)}
    assert not known
    assert said.tables["conductivity_by_class"]["share"].isna().all()


def test_a_few_ions_whose_own_motion_is_not_known_hide_no_conductivity():
    atoms = systems.atom_table((LI, 20), (systems.NA, 1), (FSI, 21), (DME, 16))
    rng = np.random.default_rng(8)
    path = walk(rng, 600, np.full(atoms.n_molecules, 0.4))
    (sodium,) = systems.molecules(atoms, "Na")
    path[:, sodium] = in_cages(rng, 600, 1, tau=60.0)[:, 0]
    rows, _ = account(atoms, [motion(atoms, path + start(rng, atoms))])
    assert np.isnan(rows["self_diffusion_m2_s", "Na"].value)
    assert rows["conductivity_S_m", ""].value > 0 and rows["onsager_barycentric_S_m", "Li|FSI"].doubt_kind == ""


def test_rows_are_complete_whatever_is_missing():
    atoms = liquid()
    poor = {key[0] for key in account(atoms, [few(atoms, 3, segment=Segment(None, 1))])[0]}
    rich = {key[0] for key in account(atoms, [few(atoms, 500)])[0]}
    assert poor == rich


def test_a_run_under_a_barostat_is_remarked_on():
    rng, atoms = np.random.default_rng(13), liquid()
    path = start(rng, atoms) + walk(rng, 200, per_molecule(atoms))
    scale = (1 + 0.01 * rng.normal(size=200))[:, None, None]
    _, said = account(atoms, [motion(atoms, path * scale, box=scale * BOX)])
    assert any("volume changes" in note["text"] for note in said.notes)
