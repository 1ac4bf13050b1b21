"""The configuration: one YAML file for the command line and for a ROS node."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from mot_perception.errors import UserError
from mot_perception.resources import resource
from mot_perception.trackers.fdta_settings import FdtaConfig
from mot_perception.trackers.settings import LIVE, TrackerConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from pydantic.fields import FieldInfo

MAX_BYTES = 64 * 1024
SHIPPED = 'motion', 'selftrencmot', 'fdta', 'demo'
CAMERA_NAME = re.compile('([A-Za-z][A-Za-z0-9_]{0,63})?')
MOST_CAMERAS = 64
DEVICE = re.compile('auto|cpu|cuda(:[0-9]{1,2})?')


class Section(BaseModel):
    """A part of the configuration; keys that do not exist are refused."""

    model_config = ConfigDict(extra='forbid', frozen=True)


class ModelsConfig(Section):
    """Where networks run."""

    device: str = Field(
        'auto', description='auto (a GPU where there is one), cpu, cuda, or cuda:1 and so on.'
    )
    half: bool = Field(True, description='Half precision on a GPU.')

    @field_validator('device')
    @classmethod
    def _known(cls, device: str) -> str:
        if not DEVICE.fullmatch(device):
            raise ValueError(f'must be auto, cpu, cuda, or cuda:1 and so on, not {device!r:.40}')
        return device


NEEDED = {
    'transformers': 'a folder, or a name on the hub',
    'fastreid': 'the file with its weights',
    'yolox': "a file with weights, or 'people_nano'",
    'onnx': 'an exported file',
    'sam2': "a folder, a name on the hub, or Meta's file",
    'encoder': "a file with weights, or 'depthseg_crop'",
    'native': 'the file that its package takes',
}
"""What a back end takes for its model."""


class BackendConfig(Section):
    """A part that has a choice of back ends, some of which take a model."""

    backend: str
    model: str = ''

    @model_validator(mode='after')
    def _has_model(self) -> Self:
        if self.backend in NEEDED and not self.model:
            raise ValueError(f'backend {self.backend!r} needs model: {NEEDED[self.backend]}')
        return self


class DetectorConfig(BackendConfig):
    """Where boxes come from."""

    backend: Literal['topic', 'hog', 'yolox', 'onnx', 'transformers'] = Field(
        'hog',
        description="From outside (a topic, a recording's, det.txt), OpenCV's pedestrians "
        'without weights, YOLOX, a network exported to ONNX, or one of transformers.',
    )
    model: str = Field(
        '',
        description="YOLOX: a file with weights, or 'people_nano', a shipped one for rendered "
        "people. ONNX: a file. Transformers: a network's folder, or its name on the hub.",
    )
    classes: tuple[str, ...] = Field(
        ('',), description='Names of the classes that are looked for. One empty name: all of them.'
    )
    score: float = Field(0.1, ge=0, le=1, description='Boxes below are left out.')
    overlap: float = Field(
        0.7, ge=0, le=1, description='IoU above which the worse of two boxes goes; YOLOX.'
    )
    height: int = Field(
        0, ge=0, le=4096, description='Pixels that images are scaled into; YOLOX. 0: its usual.'
    )
    width: int = Field(0, ge=0, le=4096, description='The same; both are multiples of 32, or 0.')
    pixels: Literal['auto', 'bgr', 'imagenet'] = Field(
        'auto',
        description="What YOLOX' weights were trained on: BGR from 0 to 255 as its own files, "
        "normalised RGB as ByteTrack's, or what their first layer remembers.",
    )

    @model_validator(mode='after')
    def _whole_cells(self) -> Self:
        if self.height % 32 or self.width % 32:
            raise ValueError('height and width must be multiples of 32, or 0')
        return self


class DepthConfig(BackendConfig):
    """Where depth comes from."""

    backend: Literal['none', 'topic', 'transformers', 'native'] = Field(
        'none',
        description="Nowhere, from an RGB-D camera (a topic, a recording's), or estimated from "
        "the image by a network of transformers or by Apple's own package depth_pro.",
    )
    model: str = Field(
        '',
        description="Transformers: a network's folder, its name on the hub, or Apple's "
        'depth_pro.pt. Native: that file. Depth Pro is for research only, Depth Anything V2 Base '
        'and Large are not for commercial use.',
    )
    every: int = Field(
        1, ge=1, le=1000, description='Depth is estimated in every so manieth frame.'
    )
    align: bool = Field(
        False, description='Scale each estimate to the one before, by what stands still.'
    )
    half: Literal['float16', 'bfloat16'] = Field(
        'float16',
        description='Half precision of an estimate on a GPU, where models.half allows it: more '
        'digits, or the reach of float32.',
    )


class AppearanceConfig(BackendConfig):
    """How objects look."""

    backend: Literal['none', 'stripes', 'fastreid', 'transformers', 'native'] = Field(
        'none',
        description='Appearance vectors: none, colour-stripe histograms without weights, '
        "FastReID's SBS-S50, an image network of transformers, or the package fastreid itself.",
    )
    model: str = Field(
        '',
        description="FastReID: a file with weights. Transformers: a network's folder, or its name "
        "on the hub. Native: FastReID's configuration file.",
    )


class MasksConfig(BackendConfig):
    """Which pixels are the object's."""

    backend: Literal['none', 'depth', 'sam2', 'native'] = Field(
        'none',
        description='Masks: none, the pixels of a box as deep as its object, SAM 2 or 2.1, or '
        "Meta's own package sam2.",
    )
    model: str = Field(
        '', description="SAM 2: a folder, a name on the hub, or Meta's file. Native: that file."
    )
    prompts: Literal['detections', 'tracks'] = Field(
        'detections',
        description='Tracks are described by the masks of their detections as the released code '
        "does it, or of the filter's boxes one frame later as the paper says.",
    )


class DepthSegConfig(BackendConfig):
    """Depth × mask as a cue."""

    backend: Literal['none', 'raw', 'encoder'] = Field(
        'none',
        description='Depth-segmentation vectors: none, the raw map, or an encoder; needs masks.',
    )
    model: str = Field(
        '', description="Encoder: a file with weights, or 'depthseg_crop', the shipped one."
    )
    previous_depth: Literal['own', 'current'] = Field(
        'own',
        description='Depth under the mask at t−1: of that frame as the paper says, or of the '
        'current one as the released code takes it.',
    )


class FdtaSection(FdtaConfig):
    """FDTA's tracker, and its network."""

    model: str = Field(
        '',
        description="A file with weights, or 'fdta_tiny', a shipped one for rendered people.",
    )


class TopicsConfig(Section):
    """Topics of a bag."""

    image: str = Field('', description='Colour images; empty: found by type, like all topics.')
    depth: str = Field('', description='Depth images, 16UC1 in mm or 32FC1 in m.')
    camera_info: str = Field('', description='Intrinsics of the camera.')
    detections: str = Field('', description='vision_msgs/Detection2DArray.')
    ground_truth: str = Field('', description='TrackedObjectArray with the true identities.')


class InputConfig(Section):
    """What is read."""

    topics: TopicsConfig = TopicsConfig()
    fps: float = Field(
        0.0, ge=0, le=10000, description='Frames per second; 0: what the input says.'
    )
    score_range: tuple[float, float] = Field(
        (0.0, 1.0),
        description='Lowest and highest score of the detector; scores are mapped to 0 … 1.',
    )

    @model_validator(mode='after')
    def _ordered(self) -> Self:
        low, high = self.score_range
        if not low < high:
            raise ValueError('score_range: the first number must be the lower one')
        return self


class StreamConfig(Section):
    """What a node does with topics; of it a replay reads only what is published of objects."""

    cameras: tuple[str, ...] = Field(
        ('',),
        description="Cameras that share this process and its models: 'front' subscribes to "
        'front/image and publishes front/tracks. One empty name: a single camera, image and '
        'tracks.',
    )
    image_transport: Literal['raw', 'compressed', 'none'] = Field(
        'raw',
        description='Images as they are, compressed ones from <image>/compressed, or none at '
        'all: each message of detections is a frame.',
    )
    depth_transport: Literal['raw', 'compressedDepth'] = Field(
        'raw', description='Depth images as they are, or from <depth>/compressedDepth.'
    )
    sync_slop: float = Field(
        0.015,
        ge=0,
        le=10,
        description='Seconds that stamps of an image, its depth and its detections may differ; '
        'half a frame period at most.',
    )
    queue: int = Field(
        1, ge=1, le=200, description='Frames that wait for a busy tracker; 1: the newest wins.'
    )
    stale_after: float = Field(
        2.0, gt=0, le=3600, description='Seconds without a frame after which diagnostics warn.'
    )
    publish_embeddings: bool = Field(
        False, description='Fill the embedding of each object: its appearance, where there is one.'
    )
    publish_masks: bool = Field(
        False, description='Fill mask_rle of each object, where there are masks (masks.backend).'
    )

    @model_validator(mode='after')
    def _named(self) -> Self:
        names = self.cameras
        if not names or len(set(names)) < len(names) or len(names) > MOST_CAMERAS:
            raise ValueError(f'stream.cameras: 1 to {MOST_CAMERAS} different names are needed')
        if wrong := [name for name in names if not CAMERA_NAME.fullmatch(name)]:
            raise ValueError(
                f'stream.cameras: {wrong[0]!r:.40} is no ROS name; use letters, digits and _'
            )
        if '' in names and len(names) > 1:
            raise ValueError('stream.cameras: several cameras need names')
        return self


class OutputConfig(Section):
    """What is written beside the tracks as text."""

    video: bool = Field(True, description='Annotated video, where there are images.')
    bag: bool = Field(True, description='rosbag2 bag with the tracks as messages.')
    report: bool = Field(True, description='report.html.')


class Config(Section):
    """Everything that can be set."""

    method: Literal['selftrencmot', 'fdta'] = Field(
        'selftrencmot',
        description='SelfTrEncMOT (tracker) tells boxes of any detector apart by overlap, looks, '
        'masks and depth. FDTA (fdta) is one network that finds objects and tells who they are: '
        'detector, appearance, masks and depthseg are not used then.',
    )
    camera_cut: Literal['keep', 'reset'] = Field(
        'keep',
        description='What becomes of the tracks where the picture is suddenly another one, as in '
        'edited videos: they are kept, or forgotten and ids start again.',
    )
    tracker: TrackerConfig = Field(default_factory=TrackerConfig)
    fdta: FdtaSection = FdtaSection()
    detector: DetectorConfig = DetectorConfig()
    depth: DepthConfig = DepthConfig()
    models: ModelsConfig = ModelsConfig()
    appearance: AppearanceConfig = AppearanceConfig()
    masks: MasksConfig = MasksConfig()
    depthseg: DepthSegConfig = DepthSegConfig()
    input: InputConfig = InputConfig()
    stream: StreamConfig = StreamConfig()
    output: OutputConfig = OutputConfig()

    @model_validator(mode='after')
    def _cue_has_masks(self) -> Self:
        if self.depthseg.backend != 'none' and self.masks.backend == 'none':
            raise ValueError(
                "depthseg.backend needs masks: set masks.backend to 'depth' or 'sam2'"
            )
        return self

    @model_validator(mode='after')
    def _fdta_can_see(self) -> Self:
        if self.method == 'fdta':
            if not self.fdta.model:
                raise ValueError("method 'fdta' needs fdta.model: a file with weights")
            if self.detector.backend == 'topic':
                raise ValueError(
                    "method 'fdta' finds objects itself: detector.backend cannot be 'topic'"
                )
        return self

    @model_validator(mode='after')
    def _something_comes(self) -> Self:
        if self.stream.image_transport == 'none' and self.detector.backend != 'topic':
            raise ValueError("stream.image_transport 'none' needs detector.backend 'topic'")
        return self

    @model_validator(mode='after')
    def _masks_have_depth(self) -> Self:
        if self.masks.backend == 'depth' and self.depth.backend == 'none':
            raise ValueError(
                "masks.backend 'depth' needs depth: set depth.backend to 'topic' or 'transformers'"
            )
        return self

    @model_validator(mode='after')
    def _cue_has_depth(self) -> Self:
        if self.depthseg.backend != 'none' and self.depth.backend == 'none':
            raise ValueError(
                "depthseg.backend needs depth: set depth.backend to 'topic' or 'transformers'"
            )
        return self


def load_config(path: Path | str) -> Config:
    """Read and check a configuration.

    Args:
        path: A YAML file, plain or as a ROS parameter file (`/**: {ros__parameters: …}`); or the
            name of a shipped one, 'motion', 'selftrencmot', 'fdta' or 'demo'.

    Raises:
        UserError: The file cannot be read, or a key or value in it is wrong.
    """
    file = resource(f'config/{path}.yaml') if str(path) in SHIPPED else Path(path)
    return parse_config(_without_ros(_read(file), file), str(file))


def parse_config(values: dict[str, Any], where: str) -> Config:
    """Check a configuration that has been read already.

    Args:
        values: Sections with their settings.
        where: Names the source in errors.

    Raises:
        UserError: A key or value is wrong.
    """
    try:
        # As JSON: strict about types, yet a list may fill a tuple.
        return Config.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise UserError(f'{where}: {_first_fault(error)}') from None
    except TypeError as error:
        raise UserError(
            f'{where}: {error}; keys are names, values text, numbers or lists'
        ) from None


def keys(model: type[BaseModel] = Config, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield every key's dotted path with its pydantic field, in order."""
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is None:
            yield prefix + name, field
        else:
            yield from keys(section, f'{prefix}{name}.')


def is_live(field: FieldInfo) -> bool:
    """Return whether a setting may change while a pipeline runs."""
    return LIVE in field.metadata


def _read(file: Path) -> Any:
    try:
        with file.open('rb') as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f'{file}: more than {MAX_BYTES} bytes; this is no configuration')
        text = content.decode()
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise UserError(f'{file}: YAML aliases (*name) are not read; write the values out')
        return yaml.safe_load(text)
    except OSError as error:
        shipped = ' or '.join(SHIPPED)
        raise UserError(
            f'{file}: cannot be read ({error.strerror}); give a YAML file, or {shipped}'
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f'{file}:{line}: not YAML ({error.problem}); mend the line') from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise UserError(f'{file}: not a YAML text file; give a configuration') from None


def _without_ros(values: Any, file: Path) -> dict[str, Any]:
    """Take the parameters out of a ROS parameter file of one node."""
    if isinstance(values, dict) and len(values) == 1:
        (inner,) = values.values()
        if isinstance(inner, dict) and set(inner) == {'ros__parameters'}:
            values = inner['ros__parameters']
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UserError(f'{file}: sections such as "tracker:" are expected, not {values!r:.40}')
    return values


def _first_fault(error: ValidationError) -> str:
    """Say the first of pydantic's errors in one line."""
    fault = error.errors()[0]
    place = [str(part) for part in fault['loc']]
    if fault['type'] == 'extra_forbidden':
        return f'{".".join(place)} is unknown; {_nearest(place)}'
    message = str(fault['msg']).removeprefix('Value error, ').replace('Input', 'it')
    if not place or fault['type'] == 'value_error':
        return '.'.join([*place, '']).rstrip('.') + ': ' * bool(place) + message
    return f'{".".join(place)}: {message}, not {fault["input"]!r:.60}'


def _nearest(place: list[str]) -> str:
    """Name the key that was probably meant: a sibling, else one of another section."""
    *sections, name = place
    model: type[BaseModel] = Config
    for part in sections:
        model = _section(model.model_fields[part].annotation) or model
    siblings = list(model.model_fields)
    if close := get_close_matches(name, siblings, n=1, cutoff=0.5):
        return f'did you mean {".".join([*sections, *close])}?'
    paths = [path for path, _ in keys()]
    leaves = [path.rsplit('.', 1)[-1] for path in paths]
    if close := get_close_matches(name, leaves, n=1, cutoff=0.7):
        return f'did you mean {paths[leaves.index(close[0])]}?'
    nearest = get_close_matches(name, siblings, n=3, cutoff=0)
    return f'nearest are {", ".join(nearest)}; docs/configuration.md has them all'


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field is, if it is a section."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None
