"""Noise fields of a chosen grain: chromatin, granules and the unevenness of outlines are all made of them."""

import numpy as np
import scipy
from jaxtyping import Float32


def noise(
    rng: np.random.Generator, size: int, wavelengths: tuple[float, float], pixel: float = 1.0
) -> Float32[np.ndarray, 'size size']:
    """Draw band-passed Gaussian noise of mean 0 and variance 1; `wavelengths` are in the unit of `pixel`."""
    # A size with small prime factors, because 257 itself is prime and would make the transform several times slower.
    padded = scipy.fft.next_fast_len(size, real=True)
    short, long = wavelengths
    width = 0.5 * np.log(long / short)
    # Beyond three deviations the band is empty; only the corner of the spectrum before that is drawn.
    highest = np.exp(3 * width) / np.sqrt(short * long)
    edge = min(int(np.ceil(highest * padded * pixel)), padded // 2 - 1)
    rows = np.r_[0 : edge + 1, -edge:0]
    frequency = np.hypot(rows[:, None], rows[None, : edge + 1]) / (padded * pixel)
    frequency[0, 0] = 1e-9
    band = np.exp(-0.5 * (np.log(frequency * np.sqrt(short * long)) / width) ** 2).astype(np.float32)
    # White noise has a white spectrum, so it is drawn there and the forward transform is saved.
    real, imaginary = rng.standard_normal((2, *band.shape), dtype=np.float32)
    spectrum = np.zeros((padded, padded // 2 + 1), np.complex64)
    spectrum[rows, : edge + 1] = band * (real + 1j * imaginary)
    field = scipy.fft.irfft2(spectrum, (padded, padded))
    # The transform mirrors every column but the first, whose imaginary part is half lost to that symmetry.
    energy = 4 * np.sum(band[:, 1:] ** 2) + np.sum(band[:, 0] ** 2)
    if energy == 0:  # a window of few pixels, which are wider than all of the band
        return np.zeros((size, size), np.float32)
    return (field * np.float32(padded**2 / np.sqrt(energy)))[:size, :size].astype(np.float32)
