"""Depth in one image by a network of transformers: Depth Anything V2, DPT, Depth Pro."""

from __future__ import annotations

import re
from math import isfinite, nan, pi, tan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.nn.functional import interpolate

from mot_perception.errors import UserError
from mot_perception.perception.checkpoint import digest
from mot_perception.perception.depth_pro_checkpoint import (
    PREPROCESSING,
    TERMS,
    load_depth_pro,
)
from mot_perception.perception.device import choose_device
from mot_perception.perception.network import LoadedNetwork, Network
from mot_perception.perception.pixels import Preprocessing
from mot_perception.perception.protocols import Depth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from mot_perception.perception.device import HalfName

SINGLE_FILES = '.pt', '.pth', '.safetensors'
METRIC, DISPARITY, DEPTH_PRO = 'metric', 'disparity', 'depth_pro'
NOT_COMMERCIAL = re.compile('depth.?anything.?v2.*(base|large|giant)', re.IGNORECASE)
"""Names of weights that are published under CC-BY-NC-4.0; the small ones are under Apache-2.0."""
FREE = re.compile('depth.?anything.?v2.*small', re.IGNORECASE)
FARTHEST = 100.0
"""Farthest over nearest relative depth: disparities near 0, the sky's, would be without bound."""
DEPTH_PRO_RANGE = 1e-4, 1e4
"""Inverse depths, 1/m, that Depth Pro's own post-processing keeps to."""


class TransformersDepth:
    """Depth by an `AutoModelForDepthEstimation`, in metres where the checkpoint's config says so.

    Args:
        model: Folder or name on the hub, see `Network`; or Apple's `depth_pro.pt`, see
            `load_depth_pro`.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        half: Compute with half precision on a GPU.
        number: Which half precision.

    Attributes:
        metric: Whether estimates are in metres.
        name: Its name, a part of the hash of its weights, and what they must not be used for.
        licence: Of weights with this name, as far as that is known.
        restricted: Whether it forbids some uses.

    Raises:
        UserError: What is wrong with the files or the device, or nobody knows what the network's
            numbers mean.
    """

    def __init__(
        self,
        model: str,
        *,
        device: str = 'auto',
        half: bool = True,
        number: HalfName = 'float16',
    ) -> None:
        self._network = _load(model, device, half, number)
        self._output = _meaning(self._network.config, model)
        self.metric = self._output in {METRIC, DEPTH_PRO}
        terms = _terms(model, self._network.config)
        self.name, self.restricted = self._network.name + terms, bool(terms)
        self.licence = _licence(model, self._network.config)

    def estimate(self, image: NDArray[np.uint8], focal: float | None = None) -> Depth:
        """Return the depth of an H×W×3 BGR image, of its size; 0 where unknown.

        Args:
            image: What is looked at.
            focal: Focal length in pixels of the image. Depth Pro's metres are proportional to it;
                where it is not known, the network guesses it anew in each image.

        Raises:
            UserError: The device's memory does not suffice, or the network cannot take the image.
        """
        values, across = self._seen(image, focal)
        size = image.shape[:2]
        values = interpolate(values[None, None], size, mode='bilinear')[0, 0]
        if self._output == DISPARITY:
            values = _from_disparity(values)
        elif self._output == DEPTH_PRO:
            values = _from_depth_pro(values, across)
        known = values.isfinite() & (values > 0)
        return Depth(values.where(known, 0.0).cpu().numpy(), self.metric)

    def raw(self, image: NDArray[np.uint8], focal: float | None = None) -> NDArray[np.float32]:
        """Return what the network says of an image, float32 in its own size; NaN where unknown.

        That is metres where `metric`; else disparity, which is larger where it is nearer and is
        known up to scale and shift.

        Args:
            image: H×W×3, BGR.
            focal: See `estimate`.

        Raises:
            UserError: See `estimate`.
        """
        values, across = self._seen(image, focal)
        if self._output == DEPTH_PRO:
            values = _from_depth_pro(values, across)
        known = values.isfinite() & ((values > 0) | (not self.metric))
        raw: NDArray[np.float32] = values.where(known, nan).cpu().numpy()
        return raw

    def _seen(self, image: NDArray[np.uint8], focal: float | None) -> tuple[Tensor, float]:
        """Return the network's numbers, and Depth Pro's width of the view at distance 1."""
        output = self._network([image])
        across = nan
        if self._output == DEPTH_PRO:
            across = image.shape[1] / focal if focal else _across(float(output.field_of_view))
        return output.predicted_depth[0].float(), across

    def gpu_bytes(self) -> int:
        """Return the bytes that its weights take of a GPU."""
        return self._network.gpu_bytes()

    def close(self) -> None:
        """Free its memory; it is not used afterwards."""
        self._network.close()


def _load(model: str, device: str, half: bool, number: HalfName) -> LoadedNetwork:
    file = Path(model).expanduser()
    if file.suffix not in SINGLE_FILES and not file.is_file():
        return Network(model, 'depth estimation', device, half, number)
    where = choose_device(device)
    module = load_depth_pro(file)
    name = f'{file.name} (sha256 {digest(file)[:8]})'
    preprocessing = Preprocessing.model_validate(PREPROCESSING)
    return LoadedNetwork(module, preprocessing, name, where, half, number)


def _terms(model: str, config: Any) -> str:
    """Return what weights with this name must not be used for, as far as that is known."""
    if config.model_type == 'depth_pro':
        return TERMS
    return ', not for commercial use' if NOT_COMMERCIAL.search(Path(model).name) else ''


def _licence(model: str, config: Any) -> str:
    """Return the licence of weights with this name, as far as it is known."""
    name = Path(model).name
    if config.model_type == 'depth_pro':
        return 'AMLR: for research only'
    if NOT_COMMERCIAL.search(name):
        return 'CC-BY-NC-4.0: not for commercial use'
    return 'Apache-2.0' if FREE.search(name) else 'not known: see where the weights are from'


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


def _from_disparity(disparity: Tensor) -> Tensor:
    """Return relative depth, larger is farther; 0 where nothing is known."""
    nearest = disparity.where(disparity.isfinite(), 0.0).amax()
    depth = disparity.clamp(min=nearest / FARTHEST).reciprocal()
    return depth.where(nearest > 0, 0.0)


def _across(degrees: float) -> float:
    """Return how wide the view is at distance 1, for a horizontal field of view; NaN if none."""
    return 2 * tan(degrees * pi / 360) if isfinite(degrees) else nan


def _from_depth_pro(inverse: Tensor, across: float) -> Tensor:
    """Return metres of inverse depth that is for a view as wide as it is far.

    Args:
        inverse: What the network says, H×W.
        across: How wide the view is at distance 1: image width over focal length.
    """
    return (inverse * across).clamp(*DEPTH_PRO_RANGE).reciprocal()
