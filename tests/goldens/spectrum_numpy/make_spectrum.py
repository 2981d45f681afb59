"""Writes the golden spectra: python make_spectrum.py. Needs numpy and safetensors.

`numpy_fft.safetensors` holds, per case, an image, its power |numpy.fft.fft2|^2 / N with zero frequency in the middle, the
same under the periodic Hann window (mean out before, back after, divided by the window's mean square), and the mean
square of that window's result in the octave bands of `model/src/spectrum/bands.rs`.
"""
import os

import numpy as np
from safetensors.numpy import save_file

EDGES = [0, 1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4]


def centred_power(image):
    return np.abs(np.fft.fftshift(np.fft.fft2(image))) ** 2 / image.size


def hann_power(image):
    window = np.outer(*(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in image.shape))
    power = centred_power((image - image.mean()) * window) / np.mean(window**2)
    power[image.shape[0] // 2, image.shape[1] // 2] = image.mean() ** 2 * image.size
    return power


def bands(power):
    fy, fx = (np.fft.fftshift(np.fft.fftfreq(n)) for n in power.shape)
    radius = np.hypot(fy[:, None], fx[None, :])
    uppers = EDGES[1:] + [0.5 + 1e-7]
    rings = [(radius > 0) & (radius >= lo) & (radius < hi) for lo, hi in zip(EDGES, uppers)]
    return np.array([power[radius == 0].sum()] + [power[ring].sum() for ring in rings]) / power.size


rng = np.random.default_rng(0)
out = {}
for name, (height, width) in dict(even=(128, 256), odd=(45, 63), mixed=(64, 49)).items():
    image = rng.normal(0.3, 0.2, (height, width)) + 0.3 * np.cos(np.arange(width) * 0.21)
    image = image.astype(np.float32)
    exact = image.astype(np.float64)
    hann = hann_power(exact)
    tensors = dict(image=image, power=centred_power(exact), hann=hann, bands=bands(hann))
    out |= {f"{name}.{key}": np.ascontiguousarray(value, dtype=np.float32) for key, value in tensors.items()}
save_file(out, os.path.join(os.path.dirname(os.path.abspath(__file__)), "numpy_fft.safetensors"))
