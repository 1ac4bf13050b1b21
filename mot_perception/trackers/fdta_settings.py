"""What can be set of the FDTA tracker, and its presets."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mot_perception.trackers.settings import Live, Preset  # noqa: TC001  # pydantic reads them


class FdtaConfig(BaseModel):
    """Settings of `FdtaTracker`; defaults are the `improved` preset.

    `release` and `paper` give the released tracker's; a setting given beside the preset overrides
    it. `Live` settings may change while a tracker runs.
    """

    model_config = ConfigDict(extra='forbid', frozen=True)

    preset: Preset = Field('improved', description='Where the other settings come from.')
    clock: Literal['stamps', 'frames'] = Field(
        'stamps',
        description="Time passes by stamps, or by one of the network's frame periods a frame.",
    )
    max_age: Live[float] = Field(
        1.5,
        gt=0,
        le=3600,
        description='Seconds after which what was seen of a track is forgotten; the window of the '
        'network ends before that if frames are many.',
    )
    jump_tolerance: float = Field(
        0.5, ge=0, le=3600, description='Seconds that stamps may run backwards without a reset.'
    )
    score: Live[float] = Field(0.3, ge=0, le=1, description='Detections above are looked at.')
    birth_score: Live[float] = Field(0.6, ge=0, le=1, description='Above: may start a track.')
    least_probability: Live[float] = Field(
        0.2, ge=0, le=1, description='From here on, a predicted identity is believed.'
    )
    assignment: Live[Literal['hungarian', 'object-max']] = Field(
        'hungarian',
        description='Identities of the largest total probability, or of each detection its '
        'likeliest one.',
    )
    by_class: Live[bool] = Field(
        True, description='A detection is none of the tracks that have another class.'
    )
    min_hits: Live[int] = Field(2, ge=1, le=100, description='Sightings that confirm a track.')

    @model_validator(mode='before')
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get('preset', 'improved') == 'improved':
            return given
        return {**_RELEASE, **given}


_RELEASE = {
    'clock': 'frames',
    'max_age': 3600.0,
    'assignment': 'object-max',
    'by_class': False,
    'min_hits': 1,
}
