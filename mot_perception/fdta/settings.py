"""What makes one FDTA network differ from another, and the published ones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DataSet = Literal['dancetrack', 'sportsmot', 'bft']
Blocks = Annotated[int, Field(ge=1, le=48)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra='forbid', frozen=True)


class DetectorSettings(_Settings):
    """Deformable DETR; defaults are the published ones."""

    classes: int = Field(1, ge=1, le=1000)
    queries: int = Field(300, ge=1, le=5000, description='Objects that an image may hold.')
    width: int = Field(256, ge=16, le=1024, multiple_of=8, description='Channels of a token.')
    heads: int = Field(8, ge=1, le=32)
    points: int = Field(4, ge=1, le=16, description='Samples per head and level.')
    levels: int = Field(4, ge=3, le=6, description='Feature maps, of strides 8, 16, 32, …')
    encoder_layers: int = Field(6, ge=1, le=12)
    decoder_layers: int = Field(6, ge=1, le=12)
    hidden: int = Field(1024, ge=1, le=8192, description='Channels inside the feed-forward.')
    blocks: tuple[Blocks, Blocks, Blocks, Blocks] = Field(
        (3, 4, 6, 3), description="Of ResNet's stages."
    )
    stem: int = Field(64, ge=4, le=256, description="Channels of ResNet's first convolution.")

    @model_validator(mode='after')
    def _divides(self) -> DetectorSettings:
        if self.width % self.heads:
            raise ValueError(f'width {self.width} is no multiple of heads {self.heads}')
        if self.width > 256 and self.width % 32:
            raise ValueError(f'width {self.width}, above 256, is no multiple of 32')
        return self


class SpatialSettings(_Settings):
    """Spatial Adapter; defaults are the published ones."""

    order: Literal[
        'self-vision', 'depth-self-vision', 'self-depth-vision', 'self-vision-depth'
    ] = Field(
        'self-vision-depth',
        description="Attentions of a decoder layer (Table 9); 'self-vision' knows no depth.",
    )
    bins: int = Field(150, ge=2, le=1024, description='K of eq. 11; one more class is invalid.')
    nearest: float = Field(1e-3, gt=0, description='d_min, the value where the first bin begins.')
    farthest: float = Field(256.0, gt=1, le=1024, description='d_max, where the last bin ends.')
    bin_values: Literal['edge', 'centre'] = Field(
        'edge',
        description='What a bin stands for: its lower edge, and the invalid class d_max; or its '
        'centre, and the invalid class nothing.',
    )
    orientation: Literal['disparity', 'depth'] = Field(
        'disparity',
        description='What the labels of depth say: 255 is nearest, as the published ones do, so '
        'that bins are finest far away; or 255 is farthest.',
    )
    token_stride: Literal[8, 16, 32] = Field(8, description='Pixels per depth token.')
    start_at_zero: bool = Field(
        False,
        description='Depth attention adds nothing at first, so that a pretrained detector stays '
        'what it is; it normalises its input then, not its output.',
    )

    @model_validator(mode='after')
    def _in_order(self) -> SpatialSettings:
        if self.nearest >= self.farthest:
            raise ValueError(f'nearest {self.nearest} is not below farthest {self.farthest}')
        return self


class TemporalSettings(_Settings):
    """Temporal Adapter; defaults are the published ones."""

    layers: int = Field(6, ge=0, le=12, description='0: there is no Temporal Adapter.')
    heads: int = Field(8, ge=1, le=32)
    hidden: int = Field(512, ge=1, le=8192)
    dropout: float = Field(0.1, ge=0, lt=1)
    time_code: Literal['row', 'relative'] = Field(
        'row',
        description='Sine of the row index, added to queries and keys; or queries and keys '
        'rotated by their time, so that only differences count and streaming never recomputes.',
    )


class IdentitySettings(_Settings):
    """Trajectory modelling and ID decoder; defaults are the published ones."""

    identities: int = Field(50, ge=1, le=1000, description='Entries of the dictionary.')
    layers: int = Field(6, ge=1, le=12)
    heads: int = Field(16, ge=1, le=64)


class FdtaSettings(_Settings):
    """All of the network; defaults are those of the published DanceTrack checkpoint."""

    shorter: int = Field(
        800, ge=32, le=4096, description='Pixels that the shorter side of an image is scaled to.'
    )
    longer: int = Field(1440, ge=32, le=8192, description='Pixels that it may have at most.')
    frame_period: float = Field(
        0.05, gt=0, le=10, description='Seconds that count as 1 in the times of rows.'
    )
    window: int = Field(30, ge=2, le=240, description='Rows of history and of the time bias.')
    detector: DetectorSettings = DetectorSettings()
    spatial: SpatialSettings = SpatialSettings()
    temporal: TemporalSettings = TemporalSettings()
    identity: IdentitySettings = IdentitySettings()

    @model_validator(mode='after')
    def _divides(self) -> FdtaSettings:
        width = self.detector.width
        if width % (2 * self.temporal.heads):
            raise ValueError(f'width {width} is no multiple of twice {self.temporal.heads} heads')
        if 2 * width % self.identity.heads:
            raise ValueError(f'twice width {width} is no multiple of {self.identity.heads} heads')
        return self


def release(data_set: DataSet = 'dancetrack') -> FdtaSettings:
    """Return the settings of the checkpoint that the authors published for a data set."""
    bins = 120 if data_set == 'bft' else 150
    window = {'dancetrack': 30, 'sportsmot': 60, 'bft': 20}[data_set]
    return FdtaSettings(window=window, spatial=SpatialSettings(bins=bins))


def improved() -> FdtaSettings:
    """Return the settings that mend what the specification's audit found in the network."""
    return FdtaSettings(
        spatial=SpatialSettings(
            orientation='depth', bin_values='centre', token_stride=16, start_at_zero=True
        ),
        temporal=TemporalSettings(time_code='relative'),
    )


def tiny(settings: FdtaSettings) -> FdtaSettings:
    """Return the same network in a size that a CPU can train: small images, few of everything."""
    detector = settings.detector.model_copy(
        update={
            'queries': 40, 'width': 64, 'heads': 4, 'points': 4, 'levels': 3,
            'encoder_layers': 1, 'decoder_layers': 3, 'hidden': 256,
            'blocks': (1, 1, 1, 1), 'stem': 16,
        }
    )  # fmt: skip
    return settings.model_copy(
        update={
            'shorter': 128,
            'longer': 228,
            'detector': detector,
            'spatial': settings.spatial.model_copy(update={'bins': 60}),
            'temporal': settings.temporal.model_copy(
                update={'layers': 2, 'heads': 4, 'hidden': 128}
            ),
            'identity': settings.identity.model_copy(
                update={'identities': 24, 'layers': 2, 'heads': 4}
            ),
        }
    )
