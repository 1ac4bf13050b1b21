"""What ran: versions, configuration, times, and hashes of the inputs, as run.json."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import defaultdict
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING

import numpy as np

import mot_perception

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.config import Config

LIBRARIES = (
    'numpy',
    'scipy',
    'numba',
    'opencv-python-headless',
    'rosbags',
    'trackeval',
    'torch',
    'transformers',
)
ONE_BY_ONE = 20
"""A folder with more inputs than this (images) gets one hash for all of them."""


def run_record(
    config: Config,
    models: Mapping[str, str],
    inputs: Iterable[Path],
    seconds: Mapping[str, NDArray[np.float64]],
    frames: Mapping[str, int],
) -> str:
    """Return the content of run.json.

    Args:
        config: What the run was configured with.
        models: Which model was used by its role.
        inputs: All files that were read.
        seconds: Time each stage took, per frame.
        frames: Number of frames of each sequence.
    """
    record = {
        'versions': _versions(),
        'configuration': config.model_dump(mode='json'),
        'models': dict(models),
        'frames': dict(frames),
        'milliseconds': {name: _summary(values) for name, values in seconds.items()},
        'sha256': _hashes(inputs),
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + '\n'


def _versions() -> dict[str, str]:
    versions = {'mot_perception': mot_perception.__version__, 'python': platform.python_version()}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _summary(seconds: NDArray[np.float64]) -> dict[str, float]:
    median, high = np.percentile(seconds, (50, 95)) * 1e3
    return {'median': round(float(median), 4), 'p95': round(float(high), 4)}


def _hashes(inputs: Iterable[Path]) -> dict[str, str]:
    folders: dict[Path, list[Path]] = defaultdict(list)
    for file in dict.fromkeys(inputs):
        folders[file.parent].append(file)
    hashes = {}
    for folder, files in folders.items():
        if len(files) > ONE_BY_ONE:
            together = hashlib.sha256(''.join(_sha256(file) for file in files).encode())
            hashes[f'{folder} ({len(files)} files)'] = together.hexdigest()
        else:
            hashes |= {str(file): _sha256(file) for file in files}
    return hashes


def _sha256(file: Path) -> str:
    with file.open('rb') as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
