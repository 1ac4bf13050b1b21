"""Settings: presets, what overrides them, what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tracker_cases import PRESETS

from mot_perception.trackers.settings import TrackerConfig


@pytest.mark.parametrize('preset', PRESETS)
def test_presets_are_whole(preset):
    config = TrackerConfig(preset=preset)
    assert config.preset == preset
    assert TrackerConfig(**config.model_dump()) == config


def test_defaults_are_the_improved_preset():
    assert TrackerConfig() == TrackerConfig(preset='improved')


@pytest.mark.parametrize('preset', PRESETS)
def test_a_setting_beside_the_preset_overrides_it(preset):
    config = TrackerConfig(preset=preset, min_hits=7, gate=0.42, shortcut=True)
    assert (config.min_hits, config.gate, config.shortcut) == (7, 0.42, True)
    same = {'min_hits', 'gate', 'shortcut'}
    assert config.model_dump(exclude=same) == TrackerConfig(preset=preset).model_dump(exclude=same)


def test_released_code():
    """Its constants, one by one, as its published flags make them."""
    config = TrackerConfig(preset='release')
    assert config.model_dump(include=set(RELEASED)) == RELEASED
    assert config.max_age / config.frame_period == pytest.approx(30)


RELEASED = {
    'clock': 'frames',
    'motion': 'size_aspect',
    'reupdate': True,
    'reupdate_twice': True,
    'high_score': 0.6,
    'birth_score': 0.6,
    'gate': 0.1,
    'gate_first': False,
    'shortcut': True,
    'direction_weight': 0.2,
    'direction_points': 'centre',
    'direction_intervals': 'longest',
    'direction_frames': 3,
    'appearance_weight': 2.7,
    'appearance_cap': 2.0,
    'depthseg_weight': 1.0,
    'depthseg_update': 'replace',
    'momentum': 0.95,
    'low_stage': False,
    'recovery_stage': True,
    'recovery_gate': 0.1,
    'min_hits': 3,
    'warm_up_again': True,
    'birth_is_observation': False,
}


def test_text_of_the_paper():
    """Where it differs from the code: weights of 1, an average, a second stage on predictions."""
    config = TrackerConfig(preset='paper')
    assert config.direction_weight == config.appearance_weight == config.depthseg_weight == 1
    assert config.appearance_cap == 0
    assert config.depthseg_update == 'average'
    assert config.low_stage
    assert not config.recovery_stage
    assert not config.shortcut


def test_every_setting_is_documented():
    for name, setting in TrackerConfig.model_fields.items():
        assert setting.description, name
        assert setting.description.endswith('.'), name


@pytest.mark.parametrize(
    'wrong',
    [
        {'preset': 'best'},
        {'preset': None},
        {'min_hit': 3},  # misspelt
        {'min_hits': 0},
        {'min_hits': 2.5},
        {'gate': -0.1},
        {'gate': float('nan')},
        {'max_age': 0},
        {'frame_period': 0},
        {'direction_frames': 8},  # more than is remembered
        {'clock': 'wall'},
        {'appearance_weight': 'heavy'},
    ],
)
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValidationError) as error:
        TrackerConfig(**wrong)
    assert next(iter(wrong)) in str(error.value)


def test_settings_do_not_change_under_a_running_tracker():
    config = TrackerConfig()
    with pytest.raises(ValidationError):
        config.min_hits = 9
