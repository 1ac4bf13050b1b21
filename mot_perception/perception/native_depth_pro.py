"""Depth by Apple's own package `depth_pro`, where it is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mot_perception.perception.checkpoint import digest, load_weights, read_weights
from mot_perception.perception.device import choose_device, free, inference, weights_on_gpu
from mot_perception.perception.native_package import calling, native
from mot_perception.perception.protocols import Depth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mot_perception.perception.device import HalfName

NOT_NEEDED = '.fc_norm.'
"""A layer that is not applied; Apple's loader lets its weights be missing, too."""


class NativeDepthPro:
    """Metres by `depth_pro.create_model_and_transforms` and `infer`.

    Its weights are read here, not by the package, which would run code that a file contains.

    Args:
        file: `depth_pro.pt`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU; here the weights have it, too.
        number: Which half precision.

    Raises:
        UserError: The package or the device is not there, or the file is not what it should be.
    """

    metric = True

    def __init__(
        self,
        file: str,
        *,
        device: str = 'auto',
        half: bool = True,
        number: HalfName = 'float16',
    ) -> None:
        package, details = native('depth_pro'), native('depth_pro.depth_pro')
        self._device = choose_device(device)
        path = Path(file).expanduser()
        weights = read_weights(path)
        mixed = half and self._device.type == 'cuda'
        precision = getattr(torch, number) if mixed else torch.float32
        self.name = f'depth_pro, {path.name} (sha256 {digest(path)[:8]}), for research only'
        with calling('depth_pro'):
            settings = replace(details.DEFAULT_MONODEPTH_CONFIG_DICT, checkpoint_uri=None)
            network, self._transform = package.create_model_and_transforms(
                config=settings, device=self._device, precision=precision
            )
            own = {name: it for name, it in network.state_dict().items() if NOT_NEEDED in name}
            others = {name: it for name, it in weights.items() if NOT_NEEDED not in name}
            load_weights(network, {**others, **own}, path, 'Depth Pro')
            self._network: Any = network.eval()

    def estimate(self, image: NDArray[np.uint8], focal: float | None = None) -> Depth:
        """Return the depth of an H×W×3 BGR image, of its size; 0 where unknown.

        Args:
            image: What is looked at.
            focal: Focal length in pixels; where it is not known, the network guesses it.

        Raises:
            UserError: The device's memory does not suffice, or the package is of another kind.
        """
        rgb = np.ascontiguousarray(image[..., ::-1])
        with calling('depth_pro'), inference(self.name, self._device, half=False):
            given = None if focal is None else torch.tensor(focal, device=self._device)
            found = self._network.infer(self._transform(rgb), f_px=given)['depth']
            metres = found.float().reshape(image.shape[:2]).cpu().numpy()
        known = np.isfinite(metres) & (metres > 0)
        return Depth(np.where(known, metres, np.float32(0)).astype(np.float32), metric=True)

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return weights_on_gpu(self._network, self._device)

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network = None
        free(self._device)
