"""What decides how a training of FDTA goes, and its presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from mot_perception.fdta.settings import DataSet, FdtaSettings
from mot_perception.fdta.settings import improved as improved_network
from mot_perception.fdta.settings import release as release_network
from mot_perception.fdta.settings import tiny as tiny_network
from mot_perception.trackers.fdta_settings import FdtaConfig

if TYPE_CHECKING:
    from collections.abc import Collection

Precision = Literal['float32', 'float16', 'bfloat16']
Preset = Literal['improved', 'release', 'paper']
Adapter = Literal['spatial', 'temporal', 'identity']


class FdtaTraining(BaseModel):
    """Settings of a training; defaults are those of the released code on DanceTrack (§1.8)."""

    model_config = ConfigDict(extra='forbid', frozen=True)

    network: FdtaSettings = FdtaSettings()
    seed: int = Field(0, ge=0, description='Of weights, clips and everything random.')

    # clips
    length: int = Field(30, ge=1, le=240, description='Frames of a clip; 1: boxes alone.')
    longest_interval: int = Field(4, ge=1, le=64, description='Frames from one to the next.')
    drops: float = Field(0.0, ge=0, lt=1, description='Share of frames that are lost on the way.')
    batch: int = Field(4, ge=1, description='Clips a step, of all processes.')
    clips: int | None = Field(None, ge=1, description='An epoch; None: one a legal first frame.')

    # what is asked
    groups: int = Field(6, ge=1, le=64, description='Times that a clip is asked, other labels.')
    switches: Literal['uniform', 'spatial'] = 'uniform'
    gradient_frames: int = Field(
        4, ge=0, le=240, description='Of a clip, that the detector learns from; 0: it is frozen.'
    )
    matched_layer: Literal['last', 'second to last'] = Field(
        'second to last', description='Decoder layer whose match says which query is whom (§7.11).'
    )

    start_by_likeness: bool = Field(
        False, description='The ID decoder begins as a comparison of embeddings, not at random.'
    )

    # losses
    identity_weight: float = Field(1.0, ge=0)
    spatial_identity_weight: float = Field(
        0.0, ge=0, description="MOTIP2's, against far switches."
    )
    depth_weight: float = Field(1.0, ge=0)
    contrastive_weight: float = Field(1.0, ge=0, description='Identity Adapter; 0: there is none.')
    contrastive: Literal['paper', 'release'] = Field(
        'release', description='Form of the loss; and its pool: the clip, or ten frames each.'
    )
    quality: Literal['iou', 'generalised'] = Field(
        'generalised', description='What is called overlap where embeddings are compared (§7.4).'
    )
    foreground: float = Field(6.0, ge=1, description='Weight of depth within boxes.')
    skip_invalid: bool = Field(False, description='Learn nothing where there is no depth.')
    divide_by: Literal['clip', 'learned'] = Field(
        'clip',
        description='Losses of boxes and depth count per box of all frames, as released; or per '
        'box, and per cell, of the frames that are learned from.',
    )

    # steps
    epochs: int = Field(13, ge=1)
    falls: tuple[int, ...] = Field((6, 9), description='Epochs with which the rate falls to ×0.1.')
    warm_up: float = Field(1.0, ge=0, description='Epochs in which the rate rises.')
    rate: float = Field(1e-4, gt=0)
    backbone_rate: float = Field(0.1, ge=0, description='Share of the rate.')
    places_rate: float = Field(0.05, ge=0, description='Of sampling offsets and first places.')
    frozen_stages: int = Field(2, ge=0, le=5, description='Of the backbone: stem, layer1, ….')
    weight_decay: float = Field(5e-4, ge=0)
    longest_gradient: float = Field(0.1, gt=0, description='Of the detector, and of the rest.')
    average: float = Field(0.0, ge=0, lt=1, description='Kept of the moving average each step.')
    precision: Precision = Field('float32', description='On a GPU.')
    checkpointed: int = Field(
        0, ge=0, description='Frames whose activations are kept at a time, computed anew; 0: all.'
    )

    # looks at what is held out
    tracker: FdtaConfig = FdtaConfig()


def release(data_set: DataSet = 'dancetrack') -> FdtaTraining:
    """Return how the released code trains on a data set (§1.8)."""
    values: dict[str, object] = {
        'dancetrack': {'length': 30, 'epochs': 13, 'falls': (6, 9), 'foreground': 6.0},
        'sportsmot': {'length': 60, 'epochs': 13, 'falls': (8, 12), 'foreground': 7.0},
        'bft': {
            'length': 20, 'epochs': 22, 'falls': (16, 20), 'foreground': 10.0, 'warm_up': 2.0,
        },
    }[data_set]  # fmt: skip
    values |= {'network': release_network(data_set), 'tracker': FdtaConfig(preset='release')}
    return FdtaTraining.model_validate(values)


def paper(data_set: DataSet = 'dancetrack') -> FdtaTraining:
    """Return what the paper says: 11 epochs, T = 30, foreground 7; eqs. 14–16 as they stand.

    Where it says nothing, what the released code does.
    """
    network = release_network(data_set).model_copy(update={'window': 30})
    values: dict[str, object] = {
        'length': 30,
        'epochs': 11,
        'foreground': 7.0,
        'matched_layer': 'last',
        'contrastive': 'paper',
        'quality': 'iou',
        'divide_by': 'learned',
    }
    values |= {'network': network, 'tracker': FdtaConfig(preset='paper')}
    return FdtaTraining.model_validate(values)


def improved() -> FdtaTraining:
    """Return ours: every difference to `release` is one setting, and a row of the ablation."""
    values = {
        'network': improved_network(),
        'drops': 0.1,
        'switches': 'spatial',
        'start_by_likeness': True,
        'matched_layer': 'last',
        'spatial_identity_weight': 0.1,
        'contrastive': 'paper',
        'quality': 'iou',
        'skip_invalid': True,
        'divide_by': 'learned',
        'average': 0.9995,
    }
    return FdtaTraining.model_validate(values)


def tiny(settings: FdtaTraining) -> FdtaTraining:
    """Return a training of the same kind that a CPU can do, from random weights."""
    values = {
        'network': tiny_network(settings.network),
        'length': 10,
        'batch': 2,
        'groups': 4,
        'gradient_frames': 3,
        'tracker': settings.tracker.model_copy(update={'score': 0.35, 'birth_score': 0.4}),
        'epochs': 13,
        'falls': (10, 12),
        'rate': 5e-4,
        'backbone_rate': 1.0,
        'places_rate': 0.1,
        'frozen_stages': 0,
        'average': 0.99 if settings.average else 0.0,
    }
    return changed(settings, **values)


def with_adapters(settings: FdtaTraining, adapters: Collection[Adapter]) -> FdtaTraining:
    """Return the training with these of the three adapters alone (Table 4)."""
    network, values = settings.network, dict[str, object]()
    if 'spatial' not in adapters:
        spatial = network.spatial.model_copy(update={'order': 'self-vision'})
        network = network.model_copy(update={'spatial': spatial})
    if 'temporal' not in adapters:
        temporal = network.temporal.model_copy(update={'layers': 0})
        network = network.model_copy(update={'temporal': temporal})
    if 'identity' not in adapters:
        values['contrastive_weight'] = 0.0
    return settings.model_copy(update={'network': network, **values})


def changed(settings: FdtaTraining, **values: object) -> FdtaTraining:
    """Return the training with other values, checked."""
    return FdtaTraining.model_validate({**dict(settings), **values})
