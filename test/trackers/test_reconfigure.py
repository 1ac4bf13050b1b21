"""Settings change while a tracker runs: tracks stay, and the new settings hold from then on."""

from __future__ import annotations

import pytest
from test_snapshot import with_cues
from tracker_cases import PRESETS, assert_same, course, tracker_of

from mot_perception.errors import UserError
from mot_perception.trackers.settings import LIVE, TrackerConfig

OTHER = {
    'max_age': 0.3,
    'confidence_noise': 1.0,
    'coasting_size': 'moving',
    'reupdate': True,
    'reupdate_twice': True,
    'high_score': 0.7,
    'low_score': 0.3,
    'birth_score': 0.71,
    'by_class': False,
    'gate': 0.2,
    'gate_first': False,
    'shortcut': True,
    'depthseg_middle': 0.1,
    'depthseg_misses': 2,
    'height_power': 0.5,
    'direction_weight': 0.4,
    'confidence_weight': 0.1,
    'foot_weight': 0.5,
    'common_motion': 0.5,
    'last_weight': 0.2,
    'appearance_weight': 1.5,
    'appearance_cap': 0.7,
    'depthseg_weight': 0.7,
    'depthseg_update': 'average',
    'neutral': False,
    'momentum': 0.5,
    'tentative_penalty': 0.4,
    'low_stage': False,
    'low_gate': 0.2,
    'low_misses': 9,
    'recovery_stage': False,
    'recovery_gate': 0.1,
    'birth_gate': 0.2,
    'min_hits': 6,
    'warm_up_again': True,
    'tentative_misses': 4,
    'birth_is_observation': False,
}
FIXED = {
    'preset': 'paper',
    'clock': 'frames',
    'frame_period': 0.1,
    'jump_tolerance': 2.0,
    'motion': 'size_aspect',
    'position_noise': 0.1,
    'velocity_noise': 0.1,
    'measurement_noise': 0.1,
    'direction_points': 'centre',
    'direction_intervals': 'all',
    'direction_frames': 5,
}
CHANGE = 25


def test_every_setting_is_here():
    live = {name for name, field in TrackerConfig.model_fields.items() if LIVE in field.metadata}
    assert live == set(OTHER)
    assert set(FIXED) == set(TrackerConfig.model_fields) - live
    defaults = TrackerConfig()
    assert all(getattr(defaults, name) != value for name, value in {**OTHER, **FIXED}.items())


@pytest.mark.parametrize('preset', PRESETS)
@pytest.mark.parametrize('names', [*([name] for name in OTHER), list(OTHER)], ids=lambda n: n[0])
def test_goes_on_as_one_that_always_had_the_settings(preset, names):
    """As a tracker of the new settings does that is given this one's memory."""
    settings = {name: OTHER[name] for name in names}
    tracker, other = tracker_of(preset), tracker_of(preset, **settings)
    moments = list(with_cues(course(1)))
    for moment in moments[:CHANGE]:
        tracker.update(*moment)
    before = tracker.tracklets['id'].tolist()
    assert before
    other.restore(tracker.snapshot())
    tracker.reconfigure(other.config)
    assert tracker.tracklets['id'].tolist() == before
    for moment in moments[CHANGE:]:
        assert_same(tracker.update(*moment), other.update(*moment))


@pytest.mark.parametrize('preset', PRESETS)
def test_it_matters_from_then_on_only(preset):
    moments = list(with_cues(course(1)))
    tracker, same = tracker_of(preset), tracker_of(preset)
    for moment in moments[:CHANGE]:
        assert_same(tracker.update(*moment), same.update(*moment))
    tracker.reconfigure(tracker.config.model_copy(update={'birth_score': 1.0}))
    newest = int(tracker.tracklets['id'].max())
    for moment in moments[CHANGE:]:
        assert tracker.update(*moment).tracks.id.max(initial=0) <= newest
        same.update(*moment)
    assert same.tracklets['id'].max() > newest


@pytest.mark.parametrize('name', FIXED)
def test_what_tracks_are_made_of_stays(name):
    tracker = tracker_of('improved')
    for moment in list(course(1))[:5]:
        tracker.update(*moment)
    before = tracker.config
    changed = before.model_copy(update={name: FIXED[name], 'max_age': 9.0})
    with pytest.raises(UserError, match=rf'tracker\.{name} cannot change'):
        tracker.reconfigure(changed)
    assert tracker.config is before
