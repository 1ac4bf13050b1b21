"""The models that a configuration asks for: loaded once, shared by all cameras."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from mot_perception.depthseg.fusion import RawMap
from mot_perception.errors import UserError
from mot_perception.perception.appearance import ColourStripes
from mot_perception.perception.class_names import kept_classes
from mot_perception.perception.grid import GRID
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.resources import weights
from mot_perception.types import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mot_perception.config import (
        AppearanceConfig,
        Config,
        DepthConfig,
        DepthSegConfig,
        DetectorConfig,
        MasksConfig,
        ModelsConfig,
    )
    from mot_perception.fdta.detector import FdtaDetector
    from mot_perception.perception.protocols import (
        AppearanceEncoder,
        DepthEstimator,
        DepthSegCue,
        Detector,
        MaskPropagator,
        Model,
    )

WARM_UP = 360, 640, 3
"""Shape of the black image that every model sees first."""
ROLES = 'detector', 'depth', 'masks', 'depthseg', 'appearance', 'fdta'
"""What models are there for."""
WARM_UP_BOX = np.array([[300.0, 100.0, 360.0, 260.0]])


@dataclass(frozen=True)
class Models:
    """What sees; None where nothing does.

    What they remember of an image is looked up by the image, so that all cameras share them, one
    at a time.

    Attributes:
        detector: Finds boxes; None where they come from outside.
        depth: Estimates depth; None where there is none or it comes from outside.
        masks: Outlines objects.
        depthseg: Makes vectors of outlines and depth.
        appearance: Describes how objects look.
        fdta: Finds boxes and what tells who they are; then there are none of the others but depth.
        class_names: Name of class 0, 1, … of what finds boxes.
        names: Which model is loaded by its role, one of `ROLES`, for people.
    """

    detector: Detector | None = None
    depth: DepthEstimator | None = None
    masks: MaskPropagator | None = None
    depthseg: DepthSegCue | None = None
    appearance: AppearanceEncoder | None = None
    fdta: FdtaDetector | None = None
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
        models = (getattr(self, role) for role in ROLES)
        return [model for model in models if model is not None]


def load_models(config: Config) -> Models:
    """Load the models of a configuration and let each look at one image.

    Raises:
        UserError: A folder, library or device is missing, or a folder holds something else.
    """
    models = _load_fdta(config) if config.method == 'fdta' else _load_selftrencmot(config)
    models = replace(models, depth=_load_depth(config.depth, config.models))
    _warm_up(models)
    loaded = {role: getattr(models, role) for role in ROLES}
    return replace(models, names={role: it.name for role, it in loaded.items() if it is not None})


def _load_selftrencmot(config: Config) -> Models:
    """Load what finds and describes objects, one by one."""
    detector = _load_detector(config.detector, config.models)
    return Models(
        detector=detector,
        masks=_load_masks(config.masks, config.models, len(config.stream.cameras)),
        depthseg=_load_depthseg(config.depthseg, config.models),
        appearance=_load_appearance(config.appearance, config.models),
        class_names=detector.class_names if detector else (),
    )


def _load_fdta(config: Config) -> Models:
    """Load the network that does all of it."""
    _require('torch')
    from mot_perception.fdta.detector import open_detector

    settings = config.models
    model = str(weights(config.fdta.model))
    detector = open_detector(model, device=settings.device, half=settings.half)
    return Models(fdta=detector, class_names=detector.class_names)


def _warm_up(models: Models) -> None:
    """Let each model see a black image, so that the first real one is fast."""
    black = np.zeros(WARM_UP, np.uint8)
    if models.detector is not None:
        models.detector.detect([black])
    if models.fdta is not None:
        models.fdta.detect(black)
    if models.depth is not None:
        models.depth.estimate(black)
    if models.masks is not None:
        depth = np.ones(WARM_UP[:2], np.float32)
        frame = Frame(0, 0, WARM_UP[1], WARM_UP[0], black, depth)
        models.masks.step(frame, frame, WARM_UP_BOX)
    if models.depthseg is not None:
        models.depthseg.embed(np.ones(GRID, np.float32), np.ones((1, *GRID), np.bool_))
    if models.appearance is not None:
        models.appearance.embed(black, WARM_UP_BOX)


def _load_detector(config: DetectorConfig, models: ModelsConfig) -> Detector | None:
    classes = [name for name in config.classes if name]
    if config.backend == 'hog':
        from mot_perception.perception.people_detector import PeopleDetector

        kept_classes(PeopleDetector.class_names, classes, PeopleDetector.name)
        return PeopleDetector(config.score)
    if config.backend == 'yolox':
        _require('torch')
        from mot_perception.perception.yolox_detector import YoloxDetector

        return YoloxDetector(
            str(weights(config.model)),
            device=models.device,
            half=models.half,
            score=config.score,
            overlap=config.overlap,
            height=config.height,
            width=config.width,
            pixels=config.pixels,
            classes=classes,
        )
    if config.backend == 'onnx':
        _require('onnxruntime', extra='onnx')
        from mot_perception.perception.onnx_detector import OnnxDetector

        return OnnxDetector(
            config.model,
            device=models.device,
            score=config.score,
            overlap=config.overlap,
            height=config.height,
            width=config.width,
            pixels=config.pixels,
            classes=classes,
        )
    if config.backend == 'transformers':
        _require('torch', 'transformers')
        from mot_perception.perception.transformers_detector import TransformersDetector

        return TransformersDetector(
            config.model,
            device=models.device,
            half=models.half,
            score=config.score,
            classes=classes,
        )
    return None


def _load_depth(config: DepthConfig, models: ModelsConfig) -> DepthEstimator | None:
    if config.backend == 'transformers':
        _require('torch', 'transformers')
        from mot_perception.perception.transformers_depth import TransformersDepth

        return TransformersDepth(
            config.model, device=models.device, half=models.half, number=config.half
        )
    if config.backend == 'native':
        _require('torch')
        from mot_perception.perception.native_depth_pro import NativeDepthPro

        return NativeDepthPro(
            config.model, device=models.device, half=models.half, number=config.half
        )
    return None


def _load_masks(config: MasksConfig, models: ModelsConfig, cameras: int) -> MaskPropagator | None:
    if config.backend == 'depth':
        return DepthConsistentMasks()
    if config.backend == 'sam2':
        _require('torch', 'transformers')
        from mot_perception.perception.sam2_masks import Sam2Masks

        return Sam2Masks(
            config.model, device=models.device, half=models.half, remembered=2 * cameras
        )
    if config.backend == 'native':
        _require('torch')
        from mot_perception.perception.native_sam2 import NativeSam2

        return NativeSam2(config.model, device=models.device, half=models.half)
    return None


def _load_depthseg(config: DepthSegConfig, models: ModelsConfig) -> DepthSegCue | None:
    if config.backend == 'raw':
        return RawMap()
    if config.backend == 'encoder':
        _require('torch')
        from mot_perception.depthseg.encoder import DepthSegEncoder

        return DepthSegEncoder(str(weights(config.model)), device=models.device, half=models.half)
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
    if config.backend == 'native':
        _require('torch')
        from mot_perception.perception.native_fastreid import NativeFastReid

        return NativeFastReid(config.model, device=models.device, half=models.half)
    return None


def _require(*libraries: str, extra: str = 'models') -> None:
    for library in libraries:
        if find_spec(library) is None:
            raise UserError(
                f'{library}: not installed; run "pip install \'mot_perception[{extra}]\'"'
            )
