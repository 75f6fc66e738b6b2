"""Two labelled entropies: of the mixture's recipe, and of the shells that form. Theory: docs/theory/entropy.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import gammaln

from lmbmd.analysis.shells.coordination import ShellResult
from lmbmd.numbers.estimate import Estimate, estimate_mean


def mixing_entropy(n_molecules: np.ndarray) -> float:
    """S_mix = −Σ x ln x over the mole fractions of all species, ions one by one; in units of k_B per molecule.

    A property of the recipe alone: ideal mixing, no structure.
    """
    x = np.asarray(n_molecules, float)
    x = x[x > 0] / x.sum()
    return float(-(x * np.log(x)).sum())


def shell_entropy(results: Sequence[ShellResult]) -> Estimate:
    """S_shell = −Σ_s p_s ln p_s + (K − 1)/(2 N) over the K shell types seen (bare included), in units of k_B.

    p_s is the share of centres with composition s, over all frames and replicas. The second term is the
    Miller–Madow correction of the bias of the first; N is the number of independent shells, taken as the
    centres times the independent frames. The error is that of the linearised entropy, −Σ f_s(t) ln p_s, whose mean
    over frames is the entropy exactly.

    References:
        Miller, in Information Theory in Psychology (1955); Paninski, Neural Comput. 15, 1191 (2003),
        doi:10.1162/089976603321780272.
    """
    plain = estimate_mean(_shell_series(results))
    types = len(np.unique(np.concatenate([r.types for r in results]), axis=0))
    return replace(plain, value=plain.value + (types - 1) / (2 * plain.n_effective * results[0].n_centres))


def _shell_series(results: Sequence[ShellResult]) -> list[np.ndarray]:
    """−Σ_s f_s(t) ln p_s of each frame, whose mean over all frames is −Σ_s p_s ln p_s."""
    # One numbering of the shell types of all replicas.
    number = np.unique(np.concatenate([r.types for r in results]), axis=0, return_inverse=True)[1].ravel()
    first = np.cumsum([0, *(len(r.types) for r in results)])
    kinds = [number[first[i] + r.type_counts[:, 1]] for i, r in enumerate(results)]
    total = np.bincount(np.concatenate(kinds), weights=np.concatenate([r.type_counts[:, 2] for r in results]))
    surprise = -np.log(total / total.sum())
    return [_per_centre(r, surprise[kind]) for r, kind in zip(results, kinds, strict=True)]


def _per_centre(result: ShellResult, weights: np.ndarray) -> np.ndarray:
    """(n_frames,) mean over the centres of a weight that each row of ``type_counts`` has."""
    frame, count = result.type_counts[:, 0], result.type_counts[:, 2]
    return np.bincount(frame, weights=count * weights, minlength=result.n_frames) / result.n_centres


def random_shell_entropy(results: Sequence[ShellResult]) -> Estimate:
    """Entropy of shells of the observed sizes whose molecules are drawn at random from the bulk, in units of k_B.

    H = H(n) + Σ_n P(n) H_multinomial(n, x): P(n) is the observed distribution of the number of molecules in a
    shell, x the mole fractions of the ligand species (diluents included) in the box. Draws are independent, as
    from an infinite bulk. The error is that of the sampled P(n), from the linearised entropy of each frame,
    Σ_n f_n(t) (H_multinomial(n, x) − ln P(n)), whose mean over frames is H exactly.
    """
    return _random(results)[0]


def excess_shell_entropy(results: Sequence[ShellResult]) -> Estimate:
    """``shell_entropy`` minus ``random_shell_entropy``, in units of k_B.

    Both come from the same shells, so that the error is that of the difference frame by frame.
    """
    random, random_series = _random(results)
    pairs = zip(_shell_series(results), random_series, strict=True)
    difference = estimate_mean([shells - chance for shells, chance in pairs])
    return replace(difference, value=shell_entropy(results).value - random.value)


def _random(results: Sequence[ShellResult]) -> tuple[Estimate, list[np.ndarray]]:
    """``random_shell_entropy``, and the series behind its error."""
    sizes = np.concatenate([np.repeat(r.types.sum(axis=1)[r.type_counts[:, 1]], r.type_counts[:, 2]) for r in results])
    p_n = np.bincount(sizes) / len(sizes)
    x = results[0].n_molecules / max(results[0].n_molecules.sum(), 1)
    known = p_n[p_n > 0]
    drawn = {n: multinomial_entropy(n, x) for n in np.flatnonzero(p_n).tolist()}
    value = float(-(known * np.log(known)).sum()) + sum(p_n[n] * entropy for n, entropy in drawn.items())
    weight = np.array([drawn[n] - np.log(p) if p > 0 else 0.0 for n, p in enumerate(p_n)])
    series = [_per_centre(r, weight[r.types.sum(axis=1)[r.type_counts[:, 1]]]) for r in results]
    return replace(estimate_mean(series), value=value), series


def multinomial_entropy(n: int, x: np.ndarray) -> float:
    """Entropy of the composition of n independent draws with probabilities x, in units of k_B:

    −ln n! − n Σ x ln x + Σ_s Σ_k Binomial(k; n, x_s) ln k!
    """
    x = np.asarray(x, float)
    x = x[x > 0]
    if n == 0 or len(x) < 2:
        return 0.0
    k = np.arange(n + 1)[:, None]
    log_binomial = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) + k * np.log(x) + (n - k) * np.log1p(-x)
    expected_log_factorials = (np.exp(log_binomial) * gammaln(k + 1)).sum()
    return float(-gammaln(n + 1) - n * (x * np.log(x)).sum() + expected_log_factorials)
