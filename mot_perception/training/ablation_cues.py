"""The cues that an ablation compares with a trained encoder, and where encoders come from."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from mot_perception.depthseg.checkpoint import save_autoencoder
from mot_perception.depthseg.crop_autoencoder import CropAutoencoder
from mot_perception.depthseg.encoder import DepthSegEncoder
from mot_perception.depthseg.full_frame_autoencoder import FullFrameAutoencoder
from mot_perception.depthseg.fusion import RawMap
from mot_perception.errors import UserError
from mot_perception.perception.depth import object_depth
from mot_perception.training.ablation_masks import Outlines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.config import ModelsConfig
    from mot_perception.perception.protocols import DepthSegCue

    Vectors = tuple[NDArray[np.float32], NDArray[np.bool_]]

CueName = Literal[
    'none',
    'masks',
    'raw',
    'depth only',
    'mask only',
    'untrained',
    'trained',
    'trained, mask only',
    'untrained, full frame',
    'trained, full frame',
]
SEEDED = 'untrained', 'untrained, full frame'
"""Cues that are another with every seed."""
FARTHEST, STEP, WIDTH = 5.0, 0.025, 0.05
"""Log depths of `DepthAlone`: the largest, from one number to the next, and of the bump."""


class DepthAlone:
    """How deep an object lies and nothing else, as a `DepthSegCue`.

    A vector is a bump at the log of the object's median depth by the frame's: the cosine of two
    objects is exp(−(Δ / 2·WIDTH)²), 0.37 where their depths differ by a tenth.
    """

    name = 'depth only'

    def embed(self, depth: NDArray[np.float32], masks: NDArray[np.bool_]) -> Vectors:
        """Return vectors of N masks (N×h×w) over a depth (h×w), and which say something."""
        known = depth[np.isfinite(depth) & (depth > 0)]
        frame = np.median(known) if len(known) else 1.0
        relative = np.log(object_depth(depth, masks)[0] / frame).clip(-FARTHEST, FARTHEST)
        valid = np.isfinite(relative)
        places = np.arange(-FARTHEST, FARTHEST + STEP, STEP)
        distance = (places - np.where(valid, relative, 0)[:, None]) / WIDTH
        vectors = np.exp(-(distance**2) / 2) * valid[:, None]
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.maximum(norm, 1e-6)).astype(np.float32), valid

    def gpu_bytes(self) -> int:
        """Return 0: nothing of it is on a GPU."""
        return 0

    def close(self) -> None:
        """Do nothing: there are no weights."""


@dataclass(frozen=True)
class WithoutDepth:
    """Another cue that is shown the same depth everywhere: outline and place are left.

    Attributes:
        cue: The other one.
    """

    cue: DepthSegCue

    @property
    def name(self) -> str:
        """Whose cue it is."""
        return f'{self.cue.name}, mask only'

    def embed(self, depth: NDArray[np.float32], masks: NDArray[np.bool_]) -> Vectors:
        """Return the vectors of N masks (N×h×w); unknown depth stays unknown."""
        known = np.isfinite(depth) & (depth > 0)
        return self.cue.embed(known.astype(np.float32), masks)

    def gpu_bytes(self) -> int:
        """Return 0: what it takes is the other cue's."""
        return 0

    def close(self) -> None:
        """Do nothing: the other cue is somebody's."""


class Cues:
    """Makes cues by name, each once.

    Args:
        models: Where networks run.
        trained: Weights of an encoder, or None.
        full_frame: Weights of an encoder of the paper's form, or None.

    Raises:
        UserError: An encoder cannot be loaded, or is of the other form.
    """

    def __init__(
        self, models: ModelsConfig, trained: Path | None = None, full_frame: Path | None = None
    ) -> None:
        self._models = models
        self._made: dict[tuple[str, int], DepthSegCue] = {}
        for name, file in (('trained', trained), ('trained, full frame', full_frame)):
            if file is not None:
                self._made[name, 0] = self._encoder(file)
        if full_frame is not None:
            self._refuse_form(full_frame)

    @property
    def missing(self) -> set[str]:
        """Names of cues for which there are no weights."""
        trained = {'trained', 'trained, mask only', 'trained, full frame'}
        if ('trained', 0) in self._made:
            trained -= {'trained', 'trained, mask only'}
        if ('trained, full frame', 0) in self._made:
            trained.remove('trained, full frame')
        return trained

    @property
    def names(self) -> dict[str, str]:
        """Which encoder is meant by 'trained' and so on, with hashes of weights."""
        return {name: cue.name for (name, _), cue in self._made.items() if name.startswith('tra')}

    def get(self, name: CueName, seed: int) -> DepthSegCue | None:
        """Return a cue; `seed` chooses the weights of untrained encoders."""
        if name == 'none':
            return None
        key = name, seed if name in SEEDED else 0
        if key not in self._made:
            self._made[key] = self._make(name, seed)
        return self._made[key]

    def _make(self, name: CueName, seed: int) -> DepthSegCue:
        if name in SEEDED:
            return self._untrained(seed, full_frame=name == 'untrained, full frame')
        if name == 'trained, mask only':
            return WithoutDepth(self._made['trained', 0])
        simple: dict[str, DepthSegCue] = {
            'masks': Outlines(),
            'raw': RawMap(),
            'depth only': DepthAlone(),
            'mask only': WithoutDepth(RawMap()),
        }
        return simple[name]

    def _untrained(self, seed: int, *, full_frame: bool) -> DepthSegEncoder:
        """Return an encoder with random weights, loaded as trained ones are."""
        with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(seed)
            network = FullFrameAutoencoder() if full_frame else CropAutoencoder()
            del network.decoder
            file = Path(folder, 'untrained.safetensors')
            save_autoencoder(network, file, {})
            return self._encoder(file)

    def _encoder(self, file: Path) -> DepthSegEncoder:
        return DepthSegEncoder(str(file), device=self._models.device, half=self._models.half)

    def _refuse_form(self, file: Path) -> None:
        cue = self._made['trained, full frame', 0]
        assert isinstance(cue, DepthSegEncoder)
        if cue.form != 'full_frame':
            raise UserError(
                f'{file}: an encoder of the form {cue.form}; give one trained on full_frame maps'
            )
