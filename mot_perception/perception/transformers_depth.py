"""Depth in one image by a network of transformers: Depth Anything V2, DPT, Depth Pro."""

from __future__ import annotations

from math import pi, tan
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from mot_perception.errors import UserError
from mot_perception.perception.network import Network
from mot_perception.perception.protocols import Depth

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRIC, DISPARITY, DEPTH_PRO = 'metric', 'disparity', 'depth_pro'
FARTHEST = 100.0
"""Farthest over nearest relative depth: disparities near 0, the sky's, would be without bound."""
DEPTH_PRO_RANGE = 1e-4, 1e4
"""Inverse depths, 1/m, that Depth Pro's own post-processing keeps to."""


class TransformersDepth:
    """Depth by an `AutoModelForDepthEstimation`, in metres where the checkpoint's config says so.

    Args:
        model: Folder or name on the hub; see `Network`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.

    Attributes:
        metric: Whether estimates are in metres.

    Raises:
        UserError: `Network` says what is wrong, or nobody knows what its numbers mean.
    """

    def __init__(self, model: str, *, device: str = 'auto', half: bool = True) -> None:
        self._network = Network(model, 'depth estimation', device, half)
        self._output = _meaning(self._network.config, model)
        self.metric = self._output in {METRIC, DEPTH_PRO}
        self.name = self._network.name

    def estimate(self, image: NDArray[np.uint8]) -> Depth:
        """Return the depth of an H×W×3 BGR image, of its size."""
        output = self._network([image])
        small = output.predicted_depth[0].float().cpu().numpy()
        values: NDArray[np.float32] = cv2.resize(small, image.shape[1::-1]).astype(np.float32)
        if self._output == DISPARITY:
            values = _from_disparity(values)
        elif self._output == DEPTH_PRO:
            values = _from_depth_pro(values, float(output.field_of_view))
        known = np.isfinite(values) & (values > 0)
        return Depth(np.where(known, values, np.float32(0)).astype(np.float32), self.metric)

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return self._network.gpu_bytes()

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network.close()


def _meaning(config: Any, model: str) -> str:
    """Return what the network's numbers are, by the checkpoint's own config and nothing else."""
    kind = config.model_type
    if kind == 'depth_anything':
        return METRIC if config.depth_estimation_type == 'metric' else DISPARITY
    if kind == 'dpt' and getattr(config.backbone_config, 'model_type', '') != 'dinov2':
        return DISPARITY  # MiDaS'; with DINOv2 there are some of either kind
    if kind == 'depth_pro':
        return DEPTH_PRO if config.use_fov_model else DISPARITY
    raise UserError(
        f'{model}: what the numbers of {kind!r} mean is not known; give a network of '
        'depth_anything, dpt (MiDaS) or depth_pro'
    )


def _from_disparity(disparity: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return relative depth, larger is farther; 0 where nothing is known."""
    nearest = float(np.max(disparity, initial=0, where=np.isfinite(disparity)))
    if nearest <= 0:
        return np.zeros_like(disparity)
    return np.reciprocal(np.maximum(disparity, np.float32(nearest / FARTHEST)))


def _from_depth_pro(inverse: NDArray[np.float32], degrees: float) -> NDArray[np.float32]:
    """Return metres of inverse depth that is for a focal length of one image width.

    Args:
        inverse: What the network says, H×W.
        degrees: Horizontal field of view.
    """
    widths_over_focal = np.float32(2 * tan(degrees * pi / 360))
    low, high = map(np.float32, DEPTH_PRO_RANGE)
    return np.asarray(np.reciprocal(np.clip(inverse * widths_over_focal, low, high)))
