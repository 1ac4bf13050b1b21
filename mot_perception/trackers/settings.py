"""What can be set of the SelfTrEncMOT tracker, and its three presets."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

Preset = Literal['improved', 'paper', 'release']

LIVE = 'live'
"""Marks what may change while a tracker runs: its memory does not depend on it."""

_T = TypeVar('_T')
Live = Annotated[_T, LIVE]


class TrackerConfig(BaseModel):
    """Settings of `SelfTrEncMotTracker`; defaults are the `improved` preset.

    `release` computes what the released code computes, `paper` what the paper's text says; a
    setting given beside the preset overrides it. Weights multiply similarities that lie within
    [−1, 1]; IoU has weight 1. `Live` settings may change while a tracker runs.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    preset: Preset = Field('improved', description='Where the other settings come from.')

    clock: Literal['stamps', 'frames'] = Field(
        'stamps', description='Time passes by stamps, or by one frame period a frame.'
    )
    frame_period: float = Field(
        0.05, gt=0, le=10, description='Seconds that one step of the motion noise stands for.'
    )
    max_age: Live[float] = Field(
        1.5, gt=0, le=3600, description='Seconds without a match after which a track ends.'
    )
    jump_tolerance: float = Field(
        0.5, ge=0, le=3600, description='Seconds that stamps may run backwards without a reset.'
    )

    motion: Literal['centre_size', 'size_aspect'] = Field(
        'centre_size',
        description='Filter on (cx, cy, w, h) with noise scaled by the size, or (cx, cy, s, r).',
    )
    position_noise: float = Field(
        0.05, gt=0, le=1, description='Process noise of positions, of the size; centre_size.'
    )
    velocity_noise: float = Field(
        0.005, gt=0, le=1, description='Process noise of velocities, of the size; centre_size.'
    )
    measurement_noise: float = Field(
        0.05, gt=0, le=1, description='Noise of detections, of the size; centre_size.'
    )
    confidence_noise: Live[float] = Field(
        4.0, ge=0, le=100, description='Variance grows by this × (1 − score).'
    )
    coasting_size: Live[Literal['frozen', 'moving']] = Field(
        'frozen', description='Whether the size of an unseen object goes on changing.'
    )
    reupdate: Live[bool] = Field(False, description='Rewrite the past of objects found again.')
    reupdate_twice: Live[bool] = Field(
        False, description='Apply the new box once more after the re-update.'
    )

    high_score: Live[float] = Field(0.6, ge=0, le=1, description='Above: first stage.')
    low_score: Live[float] = Field(
        0.1, ge=0, le=1, description='Above, up to high_score: low stage.'
    )
    birth_score: Live[float] = Field(0.8, ge=0, le=1, description='Above: may start a track.')

    by_class: Live[bool] = Field(
        True, description='Match a track only with detections of its class.'
    )
    gate: Live[float] = Field(0.05, ge=0, le=1, description='Overlap that a pair must exceed.')
    gate_first: Live[bool] = Field(
        True, description='Exclude pairs before the assignment, or reject them afterwards.'
    )
    shortcut: Live[bool] = Field(
        False, description='Where overlaps alone are one-to-one, do not look at other cues.'
    )
    height_power: Live[float] = Field(
        2.0, ge=0, le=8, description='Exponent of the height overlap that multiplies IoU; 0: IoU.'
    )
    direction_weight: Live[float] = Field(
        0.12, ge=0, le=10, description='Weight of the heading cue.'
    )
    direction_points: Literal['corners', 'centre'] = Field(
        'corners', description='Points whose headings are compared.'
    )
    direction_intervals: Literal['all', 'longest'] = Field(
        'longest', description='Heading: mean over 1 … direction_frames, or the longest only.'
    )
    direction_frames: int = Field(3, ge=1, le=7, description='Longest interval of headings.')
    confidence_weight: Live[float] = Field(
        0.5, ge=0, le=10, description='Penalty per difference of confidence to the track.'
    )
    foot_weight: Live[float] = Field(
        0.15, ge=0, le=10, description='Penalty per distance of foot lines, in heights.'
    )
    common_motion: Live[float] = Field(
        1.4,
        ge=0,
        le=100,
        description='Follow a displacement that most objects share, if they differ from it by '
        'less than this × its length; 0: never.',
    )
    last_weight: Live[float] = Field(
        0.7, ge=0, le=1, description='Overlap with the last box counts so much if larger.'
    )
    appearance_weight: Live[float] = Field(0.5, ge=0, le=100, description='Weight of appearance.')
    appearance_cap: Live[float] = Field(
        0.0, ge=0, le=2, description='Cap of the adaptive part of the weight; 0: none.'
    )
    depthseg_weight: Live[float] = Field(
        0.3,
        ge=0,
        le=100,
        description='Weight of depth × mask, for the shipped encoder; raw maps: 0.22.',
    )
    depthseg_middle: Live[float] = Field(
        0.64,
        ge=-1,
        le=1,
        description='Cosine of depth × mask that speaks neither for nor against a pair; neutral. '
        'For the shipped encoder; raw maps: 0.47.',
    )
    depthseg_misses: Live[int] = Field(
        10,
        ge=1,
        le=1000,
        description='Frames since the last match up to which depth × mask is compared; neutral.',
    )
    depthseg_update: Live[Literal['average', 'replace']] = Field(
        'replace', description='Keep a moving average (eq. 4) or the newest vector.'
    )
    neutral: Live[bool] = Field(
        True,
        description='Unknown vectors are no evidence and a lone candidate gets no bonus; '
        'otherwise one unknown entry switches the cue off for the frame.',
    )
    momentum: Live[float] = Field(0.95, ge=0, le=1, description='T of eq. 4, at full confidence.')

    tentative_penalty: Live[float] = Field(
        0.15, ge=0, le=10, description='What an unconfirmed track loses against confirmed ones.'
    )

    low_stage: Live[bool] = Field(True, description='Match low scores with predicted boxes.')
    low_gate: Live[float] = Field(
        0.5, ge=0, le=1, description='Overlap that a low pair must exceed.'
    )
    low_misses: Live[int] = Field(
        1, ge=1, le=1000, description='Frames since the last match up to which low scores count.'
    )
    recovery_stage: Live[bool] = Field(True, description='Match what is left with last boxes.')
    recovery_gate: Live[float] = Field(
        0.3, ge=0, le=1, description='Overlap with the last box that a pair must exceed.'
    )

    birth_gate: Live[float] = Field(
        0.5,
        ge=0,
        le=1,
        description='A detection that overlaps a matched one by this or more starts no track.',
    )
    min_hits: Live[int] = Field(3, ge=1, le=100, description='Matches that confirm a track.')
    warm_up_again: Live[bool] = Field(
        False, description='Count matches anew after every miss, hiding the track meanwhile.'
    )
    tentative_misses: Live[int] = Field(
        1, ge=0, le=1000, description='Frames that an unconfirmed track survives unmatched.'
    )
    birth_is_observation: Live[bool] = Field(
        True, description='Whether the first box counts as an observation and as a match.'
    )

    @model_validator(mode='before')
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {**_PRESETS.get(str(given.get('preset', 'improved')), {}), **given}


_RELEASE: dict[str, Any] = {
    'clock': 'frames',
    'frame_period': 1 / 30,
    'max_age': 1.0,
    'motion': 'size_aspect',
    'confidence_noise': 0.0,
    'coasting_size': 'moving',
    'reupdate': True,
    'reupdate_twice': True,
    'birth_score': 0.6,
    'by_class': False,
    'gate': 0.1,
    'gate_first': False,
    'shortcut': True,
    'height_power': 0.0,
    'direction_weight': 0.2,
    'direction_points': 'centre',
    'direction_intervals': 'longest',
    'confidence_weight': 0.0,
    'foot_weight': 0.0,
    'common_motion': 0.0,
    'tentative_penalty': 0.0,
    'birth_gate': 1.0,
    'last_weight': 0.0,
    'appearance_weight': 2.7,
    'depthseg_weight': 1.0,
    'appearance_cap': 2.0,
    'neutral': False,
    'low_stage': False,
    'recovery_gate': 0.1,
    'min_hits': 3,
    'warm_up_again': True,
    'tentative_misses': 30,
    'birth_is_observation': False,
}
_PAPER = {
    **_RELEASE,
    'shortcut': False,
    'direction_weight': 1.0,
    'appearance_weight': 1.0,
    'appearance_cap': 0.0,
    'depthseg_update': 'average',
    'low_stage': True,
    'low_gate': 0.5,
    'recovery_stage': False,
    'gate': 0.3,
}
_PRESETS = {'improved': {}, 'paper': _PAPER, 'release': _RELEASE}
