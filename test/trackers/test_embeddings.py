"""Appearance and depth × mask vectors: what they decide, and what they must not break."""

from __future__ import annotations

import numpy as np
import pytest
from tracker_cases import PRESETS, box, frame, show, tracker_of

from mot_perception.types import Detections, Embeddings

NEAR, FAR = np.eye(2, dtype=np.float32)
SAME = np.array([0.6, 0.8], np.float32)
ALL_PRESETS = pytest.mark.parametrize('preset', PRESETS)
WITH_VECTORS = {
    'release': {'preset': 'release'},
    'neutral': {'preset': 'release', 'neutral': True, 'gate_first': True},
}


def follow(settings, places, cue):
    """Ids of two people of equal looks, first and last, on the way that `places` tells.

    The order of the detections changes from frame to frame.
    """
    tracker, ids = tracker_of(**settings), []
    for index, (near, far) in enumerate(places):
        order = [0, 1] if index % 2 else [1, 0]
        shapes = np.array([NEAR, FAR])[order]
        embeddings = Embeddings(
            appearance=np.array([SAME, SAME]),
            depthseg=shapes if cue else None,
            depthseg_previous=shapes if cue else None,
        )
        detections = Detections.of(np.array([box(near), box(far)])[order], [0.9, 0.9])
        tracks = tracker.update(frame(index), detections, embeddings).tracks
        who = dict(zip(tracks.detection.tolist(), tracks.id.tolist(), strict=True))
        ids.append([who[order.index(0)], who[order.index(1)]])
    return ids


def meeting(then):
    """They walk towards each other, stand in one place at frame 20, and part again."""
    for index in range(41):
        left, right = 100 + 5 * index, 300 - 5 * index
        yield (right, left) if index > 20 and then == 'turn' else (left, right)


@pytest.mark.parametrize('settings', WITH_VECTORS.values(), ids=WITH_VECTORS)
def test_depth_tells_who_turned_round(settings):
    """Where two meet and both turn, motion alone says that they passed."""
    places = list(meeting('turn'))
    assert places[20] == (200, 200)
    with_cue, without = follow(settings, places, True), follow(settings, places, False)
    assert with_cue[-1] == with_cue[0]
    assert without[-1] == without[0][::-1]


@pytest.mark.parametrize('settings', WITH_VECTORS.values(), ids=WITH_VECTORS)
def test_depth_agrees_with_who_passed(settings):
    ids = follow(settings, list(meeting('pass')), True)
    assert ids[-1] == ids[0]


@pytest.mark.parametrize('settings', WITH_VECTORS.values(), ids=WITH_VECTORS)
@pytest.mark.parametrize('swap', [False, True])
def test_depth_decides_a_tie(settings, swap):
    """Two in one place: boxes, looks and scores tie, so only depth can tell."""
    tracker = tracker_of(**settings)
    for index in range(5):
        shapes = np.array([NEAR, FAR])[:: -1 if swap and index == 4 else 1]
        cues = Embeddings(np.array([SAME, SAME]), shapes, shapes)
        tracks = show(tracker, index, box(100), box(100), embeddings=cues)
    assert tracks.detection.tolist() == ([1, 0] if swap else [0, 1])


def test_a_constant_cue_does_not_change_who_is_who():
    settings = WITH_VECTORS['release']
    places = list(meeting('turn'))
    tracker, other = tracker_of(**settings), tracker_of(**settings)
    for index, (left, right) in enumerate(places):
        constant = Embeddings(
            depthseg=np.array([SAME] * 2), depthseg_previous=np.array([SAME] * 2)
        )
        one = show(tracker, index, box(left), box(right, 110), embeddings=constant)
        two = show(other, index, box(left), box(right, 110))
        np.testing.assert_array_equal(one.detection, two.detection)


def follow_beside_none(settings, cues):
    """Two meet and turn: with these cues all is as without any."""
    tracker, other = tracker_of(**settings), tracker_of(**settings)
    for index, (left, right) in enumerate(meeting('turn')):
        one = show(tracker, index, box(left), box(right, 110), embeddings=cues)
        two = show(other, index, box(left), box(right, 110))
        np.testing.assert_array_equal(one.detection, two.detection)
        np.testing.assert_array_equal(one.association_score, two.association_score)


@ALL_PRESETS
def test_a_cue_of_nan_throughout_is_a_cue_that_is_off(preset):
    unknown = np.full((2, 2), np.nan, np.float32)
    follow_beside_none({'preset': preset}, Embeddings(unknown, unknown, unknown))


def test_masks_empty_throughout_are_a_cue_that_is_off():
    shapes = np.array([NEAR, FAR])
    cues = Embeddings(None, shapes, shapes, np.zeros(2, bool))
    follow_beside_none(WITH_VECTORS['neutral'], cues)


@pytest.mark.parametrize('kind', ['appearance', 'depthseg'])
@pytest.mark.parametrize('cap', [0.0, 0.5])
def test_one_unknown_vector_leaves_the_evidence_of_the_others(kind, cap):
    """Two pairs in one place each; in the pair without an unknown the cue decides."""
    tracker = tracker_of(neutral=True, appearance_cap=cap)
    places = box(100), box(100), box(500), box(500)
    shapes = np.eye(4, dtype=np.float32)
    show(tracker, 0, *places, embeddings=Embeddings(shapes, shapes, shapes))
    swapped = shapes[[1, 0, 2, 3]]
    swapped[2] = np.nan
    look, shape = (swapped if kind == cue else None for cue in ('appearance', 'depthseg'))
    tracks = show(tracker, 1, *places, embeddings=Embeddings(look, shape, shape))
    assert tracks.detection[:2].tolist() == [1, 0]


@ALL_PRESETS
@pytest.mark.parametrize('kind', ['appearance', 'depthseg'])
@pytest.mark.parametrize('bad', [np.nan, 0.0])
@pytest.mark.parametrize('when', [0, 3])
def test_a_track_forgets_a_vector_that_is_none(preset, kind, bad, when):
    """One frame without a vector does not blind the track for all frames to come."""
    tracker = tracker_of(preset, shortcut=False)
    for index in range(6):
        vectors = np.array([NEAR, FAR])
        if index == when:
            vectors[0] = bad
        cues = Embeddings(**{kind: vectors})
        tracks = show(tracker, index, box(100), box(130), embeddings=cues)
    stored = getattr(tracker.tracklets, kind)[:2]
    np.testing.assert_allclose(stored, [NEAR, FAR], atol=1e-6)
    assert tracker.tracklets[f'{kind}_known'].all()
    assert tracks.id.tolist() == [1, 2]


def test_vectors_stay_with_their_tracks_when_others_end():
    tracker, vectors = tracker_of(max_age=0.1), np.eye(3, dtype=np.float32)
    places = box(100), box(400), box(700)
    show(tracker, 0, *places, embeddings=Embeddings(vectors, vectors, vectors))
    for index in range(1, 6):
        show(tracker, index, *places[1:])
    assert tracker.tracklets['id'].tolist() == [2, 3]
    np.testing.assert_array_equal(tracker.tracklets.appearance[:2], vectors[1:])
    np.testing.assert_array_equal(tracker.tracklets.depthseg[:2], vectors[1:])


@ALL_PRESETS
def test_length_of_vectors_may_change(preset):
    tracker = tracker_of(preset)
    for index, width in enumerate((4, 4, 9, 9, 4)):
        vectors = np.eye(2, width, dtype=np.float32)
        cues = Embeddings(vectors, vectors, vectors)
        tracks = show(tracker, index, box(100), box(130), embeddings=cues)
        assert tracks.detection.tolist() == [0, 1]


@ALL_PRESETS
def test_cues_may_come_and_go(preset):
    tracker = tracker_of(preset)
    vectors = np.array([NEAR, FAR])
    for index in range(12):
        look, shape = (vectors if index % k == 0 else None for k in (2, 3))
        cues = Embeddings(look, shape, shape) if index % 4 else None
        tracks = show(tracker, index, box(100), box(130), embeddings=cues)
    assert tracks.id.tolist() == [1, 2]


@pytest.mark.parametrize('update', ['average', 'replace'])
def test_depthseg_is_averaged_or_replaced(update):
    tracker = tracker_of(depthseg_update=update)
    for index, vector in enumerate((NEAR, FAR)):
        show(tracker, index, box(100), score=1.0, embeddings=Embeddings(depthseg=vector[None]))
    expected = FAR if update == 'replace' else 0.95 * NEAR + 0.05 * FAR
    expected = expected / np.linalg.norm(expected)
    np.testing.assert_allclose(tracker.tracklets.depthseg[0], expected, atol=1e-6)


def test_an_empty_mask_is_neither_learnt_nor_evidence():
    tracker = tracker_of(neutral=True, depthseg_update='replace')
    shapes = np.array([NEAR, FAR])
    seen = Embeddings(None, shapes, shapes, np.array([True, True]))
    show(tracker, 0, box(100), box(104), embeddings=seen)
    empty = Embeddings(None, shapes[::-1], shapes[::-1], np.array([False, False]))
    tracks = show(tracker, 1, box(100), box(104), embeddings=empty)
    assert tracks.detection.tolist() == [0, 1]
    np.testing.assert_array_equal(tracker.tracklets.depthseg[:2], shapes)


def test_appearance_weight_has_its_say():
    """Two stand side by side and swap places within a frame; looks must outweigh overlap."""
    for weight, expected in ((0.0, [0, 1]), (5.0, [1, 0])):
        tracker = tracker_of(appearance_weight=weight, appearance_cap=0.0)
        looks = np.array([NEAR, FAR])
        for index in range(4):
            cues = Embeddings(looks if index < 3 else looks[::-1])
            tracks = show(tracker, index, box(100), box(112), embeddings=cues)
        assert tracks.detection.tolist() == expected


@pytest.mark.parametrize('middle', [0.0, 0.25, 0.5])
def test_depthseg_speaks_for_and_against_even_the_only_one(middle):
    """Its share of a match's similarity is the distance from the middle; unknown ones have 0."""
    shares = []
    for vectors, valid in ((NEAR, True), (FAR, True), (NEAR, False)):
        totals = []
        for weight in (0.0, 0.8):
            tracker = tracker_of(
                neutral=True, shortcut=False, depthseg_weight=weight, depthseg_middle=middle
            )
            one = np.array([NEAR])
            show(tracker, 0, box(100), embeddings=Embeddings(None, one, one, np.array([True])))
            seen = np.array([vectors])
            found = Embeddings(None, seen, seen, np.array([valid]))
            totals += show(tracker, 1, box(100), embeddings=found).association_score.tolist()
        shares.append(totals[1] - totals[0])
    cosine = float(NEAR @ FAR)
    np.testing.assert_allclose(shares, [0.8 * (1 - middle), 0.8 * (cosine - middle), 0], atol=1e-6)


@pytest.mark.parametrize('missed', [0, 2])
def test_depthseg_of_a_lost_track_is_no_evidence(missed):
    """Two swap their maps; it decides as long as they were seen lately, and not after a gap."""
    tracker = tracker_of(
        neutral=True, gate_first=True, depthseg_weight=5.0, depthseg_misses=2, depthseg_middle=0.0
    )
    shapes = np.array([NEAR, FAR])
    for index in range(4):
        seen = Embeddings(None, shapes, shapes, np.array([True, True]))
        show(tracker, index, box(100), box(112), embeddings=seen)
    for index in range(4, 4 + missed):
        show(tracker, index)
    swapped = Embeddings(None, shapes[::-1], shapes[::-1], np.array([True, True]))
    tracks = show(tracker, 4 + missed, box(100), box(112), embeddings=swapped)
    assert tracks.detection.tolist() == ([0, 1] if missed else [1, 0])


def test_a_tracks_look_is_told_by_its_id():
    tracker = tracker_of()
    looks = Embeddings(appearance=np.array([NEAR, SAME]))
    show(tracker, 0, box(0), box(300), embeddings=looks)
    tracks = show(tracker, 1, box(0), box(300), box(600))
    ids = np.append(tracks.id[::-1], 99)
    found = dict(zip(ids.tolist(), tracker.appearance_of(ids), strict=True))
    np.testing.assert_allclose(found[1], NEAR)
    np.testing.assert_allclose(found[2], SAME)
    assert [len(vector) for vector in (found[3], found[99])] == [0, 0]
