"""The models that a configuration asks for: loaded once, shared by all cameras."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.errors import UserError
from mot_perception.perception.appearance import ColourStripes
from mot_perception.perception.masks import DepthConsistentMasks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mot_perception.config import (
        AppearanceConfig,
        Config,
        DepthConfig,
        DetectorConfig,
        ModelsConfig,
    )
    from mot_perception.perception.protocols import (
        AppearanceEncoder,
        DepthEstimator,
        Detector,
        MaskPropagator,
        Model,
    )

WARM_UP = 360, 640, 3
"""Shape of the black image that every model sees first, so that the first real one is fast."""
WARM_UP_BOX = np.array([[300.0, 100.0, 360.0, 260.0]])


@dataclass(frozen=True)
class Models:
    """What sees; None where nothing does.

    They remember nothing from image to image, so that all cameras share them, one at a time.

    Attributes:
        detector: Finds boxes; None where they come from outside.
        depth: Estimates depth; None where there is none or it comes from outside.
        masks: Outlines objects.
        appearance: Describes how objects look.
        class_names: Name of class 0, 1, … of the detector.
        names: Which model is loaded by its role, for people: 'detector', 'depth',
            'appearance'.
    """

    detector: Detector | None = None
    depth: DepthEstimator | None = None
    masks: MaskPropagator | None = None
    appearance: AppearanceEncoder | None = None
    class_names: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def memory(self) -> dict[str, str]:
        """Return what the models take of a GPU, for people; empty where they use none."""
        taken = sum(model.gpu_bytes() for model in self._loaded())
        return {'GPU memory': f'{taken / 2**20:.0f} MiB'} if taken else {}

    def close(self) -> None:
        """Free memory of GPUs; nothing can be seen afterwards."""
        for model in self._loaded():
            model.close()

    def _loaded(self) -> list[Model]:
        models = self.detector, self.depth, self.appearance
        return [model for model in models if model is not None]


def load_models(config: Config) -> Models:
    """Load the models of a configuration and let each look at one image.

    Raises:
        UserError: A folder, library or device is missing, or a folder holds something else.
    """
    detector = _load_detector(config.detector, config.models)
    depth = _load_depth(config.depth, config.models)
    appearance = _load_appearance(config.appearance, config.models)
    black = np.zeros(WARM_UP, np.uint8)
    names = {}
    if detector is not None:
        detector.detect([black])
        names['detector'] = detector.name
    if depth is not None:
        depth.estimate(black)
        names['depth'] = depth.name
    if appearance is not None:
        appearance.embed(black, WARM_UP_BOX)
        names['appearance'] = appearance.name
    return Models(
        detector=detector,
        depth=depth,
        masks=DepthConsistentMasks() if config.masks.backend == 'depth' else None,
        appearance=appearance,
        class_names=detector.class_names if detector else (),
        names=names,
    )


def _load_detector(config: DetectorConfig, models: ModelsConfig) -> Detector | None:
    if config.backend == 'hog':
        from mot_perception.perception.people_detector import PeopleDetector

        return PeopleDetector(config.score)
    if config.backend == 'yolox':
        _require('torch')
        from mot_perception.perception.yolox_detector import YoloxDetector

        return YoloxDetector(
            config.model,
            device=models.device,
            half=models.half,
            score=config.score,
            overlap=config.overlap,
            height=config.height,
            width=config.width,
            pixels=config.pixels,
        )
    if config.backend == 'transformers':
        _require('torch', 'transformers')
        from mot_perception.perception.transformers_detector import TransformersDetector

        return TransformersDetector(
            config.model, device=models.device, half=models.half, score=config.score
        )
    return None


def _load_depth(config: DepthConfig, models: ModelsConfig) -> DepthEstimator | None:
    if config.backend == 'transformers':
        _require('torch', 'transformers')
        from mot_perception.perception.transformers_depth import TransformersDepth

        return TransformersDepth(config.model, device=models.device, half=models.half)
    return None


def _load_appearance(config: AppearanceConfig, models: ModelsConfig) -> AppearanceEncoder | None:
    if config.backend == 'stripes':
        return ColourStripes()
    if config.backend == 'fastreid':
        _require('torch')
        from mot_perception.perception.sbs_appearance import SbsAppearance

        return SbsAppearance(config.model, device=models.device, half=models.half)
    if config.backend == 'transformers':
        _require('torch', 'transformers')
        from mot_perception.perception.transformers_appearance import TransformersAppearance

        return TransformersAppearance(config.model, device=models.device, half=models.half)
    return None


def _require(*libraries: str) -> None:
    for library in libraries:
        if find_spec(library) is None:
            raise UserError(
                f'{library}: not installed; run "pip install \'mot_perception[models]\'"'
            )
