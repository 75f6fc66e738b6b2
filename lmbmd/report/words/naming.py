"""Names of species, sites, shells and quantities as a reader sees them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lmbmd.core.errors import LmbmdError
from lmbmd.core.rounding import SUPERSCRIPT
from lmbmd.core.words import formula
from lmbmd.data.library import load_library


def species(name: str) -> str:
    """A species as printed, with the charge the library knows: ``Li`` → ``Li⁺``, ``PF6`` → ``PF₆⁻``.

    A name that the library does not have (a foreign trajectory's) is printed as it is.
    """
    try:
        charge = load_library().find_species(name).charge
    except LmbmdError:
        return name
    size = "" if abs(charge) == 1 else str(abs(charge))
    sign = "" if charge == 0 else f"{size}{'+' if charge > 0 else '-'}".translate(SUPERSCRIPT)
    return f"{formula(name)}{sign}"


def centres(name: str) -> str:
    """The ions whose shells are described, as a reader expects them: ``"Li⁺"``; "centres" where nobody said which."""
    return species(name) if name else "centres"


def one_centre(name: str) -> str:
    """One of them: ``"Li⁺"``; "centre" where nobody said which."""
    return species(name) if name else "centre"


def site(label: str) -> str:
    """A site or species label as printed: ``"EC:O_carbonyl"`` → ``"EC O (carbonyl)"``; a pair ``"Li|FSI"`` likewise."""
    if "|" in label:
        return " – ".join(map(site, label.split("|")))
    name, _, atom = label.partition(":")
    element, _, kind = atom.partition("_")
    return " ".join(filter(None, [species(name), element, f"({kind.replace('_', ' ')})" if kind else ""]))


def shell(molecules: Mapping[str, int]) -> str:
    """A shell type as printed: ``{"DME": 3, "FSI": 1}`` → ``"3 DME · 1 FSI⁻"``; a centre without partners is bare."""
    return " · ".join(f"{n} {species(name)}" for name, n in molecules.items() if n) or "bare"


_WORDS = {"cn": "CN", "ssip": "SSIP", "cip": "CIP", "agg": "AGG", "cipa": "CIPA", "rdf": "RDF", "rg": "Rg", "ii": "II"}
#: Quantities whose names in words do not follow from how they are spelt.
_NAMED = {
    "self_diffusion_m2_s": "Self-diffusion",
    "self_diffusion_unbounded_m2_s": "Self-diffusion without images",
    "msd_exponent": "MSD exponent",
    "conductivity_nernst_einstein_S_m": "Conductivity (Nernst–Einstein)",
    "transference_nernst_einstein": "Transference (Nernst–Einstein)",
    "transference_barycentric": "Transference (barycentric)",
    "transference_solvent": "Transference (solvent-fixed)",
    "scattering_smallest_q_per_A": "Smallest wave vector",
    "low_q_structure": "S at the smallest wave vector",
    "prepeak_q_per_A": "Pre-peak position",
    "prepeak_height": "Pre-peak height",
    "prepeak_length_A": "Pre-peak correlation length",
    "scattering_r_factor": "R-factor of scattering",
    "shell_binding_kJ_mol": "Binding of the ion",
    "shell_nonadditivity_kJ_mol": "Non-additivity of the binding",
    "shell_homo_eV": "HOMO of the shell",
    "shell_lumo_eV": "LUMO of the shell",
    "shell_dipole_D": "Dipole of the shell",
    "removal_energy_kJ_mol": "Taking a molecule out",
    "ion_interaction_kJ_mol": "Interaction with the ion",
    "homo_shift_eV": "HOMO shift in the shell",
    "lumo_shift_eV": "LUMO shift in the shell",
    "free_homo_eV": "HOMO of the free molecule",
    "free_lumo_eV": "LUMO of the free molecule",
    "free_dipole_D": "Dipole of the free molecule",
    "energies_failed_fraction": "Shells without energies",
    "band_cm": "Band",
    "free_band_cm": "Band of the molecule by itself",
    "band_shift_cm": "Shift of the band",
    "conductivity_share": "Share of the conductivity",
    "activation_energy_kJ_mol": "Activation energy",
    "vtf_b_K": "VTF B",
    "vtf_t0_K": "VTF T₀",
    "vtf_log_prefactor": "VTF ln A",
    "glass_transition_K": "glass transition",
}
_SUFFIXES = {
    "_g_cm3": "g/cm³",
    "_mol_L": "mol/L",
    "_per_ns": "1/ns",
    "_per_A": "1/Å",
    "_ps": "ps",
    "_ns": "ns",
    "_nm": "nm",
    "_A": "Å",
    "_D": "D",
}
_SUFFIXES |= {"_m2_s": "m²/s", "_S_m": "S/m", "_mPa_s": "mPa s", "_kJ_mol": "kJ/mol", "_eV": "eV", "_K": "K"}


def quantity(name: str) -> str:
    """A quantity's name in words, without its unit: ``"agg_fraction_anion"`` → ``"AGG fraction by anion"``."""
    if name in _NAMED:
        return _NAMED[name]
    name = name.removesuffix(quantity_suffix(name))
    words = [_WORDS.get(word, word) for word in name.split("_")]
    if "fraction" in words[:-1] and words[-1] in ("centre", "anion", "cluster"):
        words.insert(-1, "by")
    text = " ".join(words).replace("AGG i ", "AGG-I ").replace("AGG II ", "AGG-II ").replace("CIP AGG", "CIP + AGG")
    return text[:1].upper() + text[1:]


def quantity_suffix(name: str) -> str:
    """The unit at the end of a quantity's name, as it is spelt there; "" if there is none."""
    return next((suffix for suffix in _SUFFIXES if name.endswith(suffix)), "")


def unit_of(name: str) -> str:
    """The unit at the end of a quantity's name, as printed; "" if there is none."""
    return _SUFFIXES.get(quantity_suffix(name), "")


def labelled(name: str) -> str:
    """A quantity for an axis: its name in words and its unit in brackets if it has one."""
    suffix = quantity_suffix(name)
    return f"{quantity(name)} ({_SUFFIXES[suffix]})" if suffix else quantity(name)


def slug(text: str) -> str:
    """Text made safe for an anchor or a file name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(text)).strip("-.") or "x"
