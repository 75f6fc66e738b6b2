"""Random series whose correlation is known."""

import math

from scipy.signal import lfilter


def ornstein_uhlenbeck(rng, n, components, sample_ps, tau_ps, deviation):
    """Exactly sampled: <x(0) x(t)> = deviation² exp(-t / tau)."""
    keep = math.exp(-sample_ps / tau_ps)
    noise = rng.normal(scale=deviation * math.sqrt(1 - keep**2), size=(n, components))
    noise[0] = rng.normal(scale=deviation, size=components)
    return lfilter([1.0], [1.0, -keep], noise, axis=0)
