"""FDTA's tracker: its memory gives what the parallel form gives; lives, slots, snapshots."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mot_perception.errors import UserError
from mot_perception.types import Detections, Embeddings, Frame, TrackState

torch = pytest.importorskip('torch')

from tiny_fdta import WIDTH, knowing, network  # noqa: E402

from mot_perception.fdta.assignment import hungarian, object_max  # noqa: E402
from mot_perception.fdta.id_decoder import Current, History  # noqa: E402
from mot_perception.fdta.trajectories import Trajectories  # noqa: E402
from mot_perception.trackers.fdta import FdtaTracker  # noqa: E402
from mot_perception.trackers.fdta_settings import FdtaConfig  # noqa: E402

PERIOD_NS = 50_000_000


def tracker(identities: int = 9, window: int = 6, **given) -> FdtaTracker:
    return FdtaTracker(knowing(window, identities), FdtaConfig.model_validate(given))


def seen(*who: int, score: float | list[float] = 0.9) -> tuple[Detections, Embeddings]:
    """Detections of objects whose embedding is their number, at a place that is theirs."""
    boxes = [[20 * i, 10, 20 * i + 10, 40] for i in who]
    scores = np.broadcast_to(score, len(who)).astype(float)
    vectors = np.eye(WIDTH, dtype=np.float32)[list(who)].reshape(-1, WIDTH)
    return Detections.of(boxes, scores), Embeddings(vectors)


def frame(index: int) -> Frame:
    return Frame(index * PERIOD_NS, index, 640, 360)


def ids(tracked) -> dict[int, int]:
    """Identity by the row of the detection."""
    tracks = tracked.tracks
    return {
        int(row): int(identity)
        for row, identity in zip(tracks.detection, tracks.id, strict=True)
        if row >= 0
    }


@pytest.mark.parametrize('time_code', ['row', 'relative'])
def test_rows_one_by_one_equal_the_training_form(time_code):
    """Row t of the parallel pass is what a tracker sees at t, adapter and decoder together."""
    net, rows, tracks = network(time_code, window=12), 9, 4
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(1, 1, rows, tracks, WIDTH, generator=generator)
    missing = torch.rand(1, 1, rows, tracks, generator=generator) < 0.3
    labels = torch.tensor([3, 0, 7, 5]).expand(1, 1, rows, tracks)
    times = torch.arange(rows, dtype=torch.float64)[None]
    if time_code == 'relative':
        times = (times * 1.3).floor() + 0.25
    with torch.no_grad():
        parallel = net.identify(
            History(features, labels, missing, times), Current(features, missing, times)
        )[0, 0].softmax(-1)
        memory = Trajectories(net, oldest=1e9)
        for t in range(rows):
            there = (~missing[0, 0, t]).nonzero()[:, 0]
            now = features[0, 0, t, there]
            told = memory.probabilities(now, float(times[0, t]))
            memory.append(now, labels[0, 0, t, there], float(times[0, t]))
            if not (~missing[0, 0, :t]).any():
                assert (told[:, -1] == 1).all()
                continue
            # Among those of a frame the padded ones count as little as those that are not there.
            torch.testing.assert_close(told, parallel[t, there], atol=2e-5, rtol=0)


def test_who_crosses_keeps_the_identity():
    follow = tracker()
    first = ids(follow.update(frame(0), *seen(0, 1)))
    second = ids(follow.update(frame(1), *seen(1, 0)))
    assert first == {0: 1, 1: 2}
    assert second == {0: 2, 1: 1}


def test_states_and_the_whole_window():
    """Remembered for window − 2 misses, as released; then it ends, and comes back as another."""
    follow = tracker(window=6, preset='release')
    states = [int(follow.update(frame(0), *seen(3)).tracks.state[0])]
    for index in range(1, 6):
        states += follow.update(frame(index), *seen()).tracks.state.tolist()
    coasting, removed = int(TrackState.COASTING), int(TrackState.REMOVED)
    assert states == [int(TrackState.CONFIRMED), *[coasting] * 4, removed]
    assert len(follow.update(frame(6), *seen()).tracks) == 0
    assert ids(follow.update(frame(7), *seen(3))) == {0: 2}
    follow.reset()
    follow.update(frame(0), *seen(3))
    for index in range(1, 5):
        follow.update(frame(index), *seen())
    assert ids(follow.update(frame(5), *seen(3))) == {0: 1}


def test_forgets_by_time_where_frames_are_few():
    follow = tracker(max_age=0.5)
    follow.update(frame(0), *seen(3))
    assert ids(follow.update(frame(9), *seen(3))) == {0: 1}
    assert ids(follow.update(frame(30), *seen(3))) != {0: 1}


def test_the_age_may_change_while_it_runs():
    """A shorter one ends what is older at once, a longer one keeps what is still there."""
    follow, others = tracker(max_age=0.5), tracker(max_age=1.0)
    for it in (follow, others):
        it.update(frame(0), *seen(3))
    follow.reconfigure(follow.config.model_copy(update={'max_age': 1.0}))
    others.reconfigure(others.config.model_copy(update={'max_age': 0.5}))
    assert ids(follow.update(frame(15), *seen(3))) == {0: 1}
    tracks = others.update(frame(15), *seen(3)).tracks
    assert tracks.id[tracks.state == TrackState.REMOVED].tolist() == [1]
    assert tracks.id[tracks.detection >= 0].tolist() == [2]


def test_two_sightings_confirm():
    follow = tracker()
    states = [follow.update(frame(index), *seen(2)).tracks.state[0] for index in range(3)]
    assert states == [TrackState.TENTATIVE, TrackState.CONFIRMED, TrackState.CONFIRMED]


@pytest.mark.parametrize(('score', 'born'), [(0.6, 0), (0.6001, 1)])
def test_only_the_sure_are_born(score, born):
    assert len(tracker().update(frame(0), *seen(1, score=score)).tracks) == born


@pytest.mark.parametrize(('score', 'found'), [(0.3, False), (0.3001, True)])
def test_the_unsure_are_followed(score, found):
    follow = tracker()
    follow.update(frame(0), *seen(1))
    assert bool(ids(follow.update(frame(1), *seen(1, score=score)))) == found


def test_more_than_the_dictionary_holds():
    """The best newcomers get slots; the known keep theirs; ids are never used again."""
    follow = tracker(identities=4)
    follow.update(frame(0), *seen(0, 1))
    scores = [0.9, 0.7, 0.99, 0.8, 0.95, 0.65, 0.9]
    told = ids(follow.update(frame(1), *seen(5, 6, 7, 8, 0, 9, 1, score=scores)))
    assert told == {4: 1, 6: 2, 0: 3, 2: 4}
    tracked = follow.update(frame(2), *seen(10, 11))
    assert ids(tracked) == {0: 5, 1: 6}
    tracks = tracked.tracks
    evicted = tracks.id[tracks.state == TrackState.REMOVED]
    assert len(evicted) == 2
    assert set(evicted) < {1, 2, 3, 4}
    assert len(follow.update(frame(3), *seen()).tracks) == 4


def test_the_slot_longest_unused_goes_first():
    follow = tracker(identities=2, window=30)
    follow.update(frame(0), *seen(0, 1))
    follow.update(frame(1), *seen(1))
    told = follow.update(frame(2), *seen(2)).tracks
    assert told.id[told.state == TrackState.REMOVED].tolist() == [1]


def test_snapshot_and_restore_are_exact():
    generator = np.random.default_rng(0)
    net = network()
    follow, other = FdtaTracker(net), FdtaTracker(net)

    def step(who, index):
        vectors = generator.normal(size=(5, WIDTH)).astype(np.float32)
        boxes = generator.uniform(0, 50, (5, 2))
        found = Detections.of(np.hstack([boxes, boxes + 20]), np.full(5, 0.9))
        return who.update(frame(index), found, Embeddings(vectors))

    for index in range(4):
        step(follow, index)
    other.restore(follow.snapshot())
    state = generator.bit_generator.state
    one = [step(follow, index) for index in range(4, 9)]
    generator.bit_generator.state = state
    two = [step(other, index) for index in range(4, 9)]
    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left.tracks.id, right.tracks.id)
        np.testing.assert_array_equal(
            left.tracks.association_score, right.tracks.association_score
        )


def test_nothing_is_broken_by_odd_frames():
    follow = tracker()
    bad = Detections.of([[np.nan] * 4, [5, 5, 1, 1], [0, 0, 9, 9]], [0.9, 0.9, np.nan])
    vectors = np.ones((3, WIDTH), np.float32)
    assert len(follow.update(frame(0), bad, Embeddings(vectors)).tracks) == 0
    assert len(follow.update(frame(1), Detections.empty()).tracks) == 0
    assert len(follow.update(frame(2), seen(1)[0]).tracks) == 0  # without embeddings
    follow.update(frame(3), *seen(1))
    tracked = follow.update(frame(0), *seen(1))
    assert tracked.reset_count == 0  # 0.15 s back is within tolerance
    tracked = follow.update(Frame(-(10**9), 0, 640, 360), *seen(1))
    assert tracked.reset_count == 1


def test_two_trackers_share_nothing():
    net = network()
    one, two = FdtaTracker(net), FdtaTracker(net)
    one.update(frame(0), *seen(0, 1, 2))
    assert two.update(frame(0), *seen(4)).tracks.id.tolist() == [1]


def test_settings_that_are_remembered_are_fixed():
    follow = tracker()
    follow.reconfigure(follow.config.model_copy(update={'score': 0.5}))
    with pytest.raises(UserError, match='jump_tolerance cannot change'):
        follow.reconfigure(follow.config.model_copy(update={'jump_tolerance': 9.0}))


@st.composite
def beliefs(draw):
    count, labels = draw(st.integers(0, 5)), draw(st.integers(1, 4))
    values = draw(st.lists(st.integers(0, 20), min_size=count * (labels + 1), max_size=99))
    raw = np.array(values[: count * (labels + 1)], np.float32).reshape(count, labels + 1) + 0.1
    alive = np.array(draw(st.lists(st.booleans(), min_size=labels, max_size=labels)))
    return raw / raw.sum(1, keepdims=True), alive


@given(beliefs())
@settings(max_examples=100, deadline=None)
def test_object_max_by_its_words(belief):
    probability, alive = belief
    expected = []
    for row, values in enumerate(probability):
        label = int(values.argmax())
        rivals = [
            other
            for other, theirs in enumerate(probability)
            if other != row
            and theirs.argmax() == label
            and (theirs[label] > values[label] or (theirs[label] == values[label] and other < row))
        ]
        fits = label < len(alive) and alive[label] and values[label] >= 0.2 and not rivals
        expected.append(label if fits else -1)
    assert object_max(probability, alive, 0.2).tolist() == expected


@given(beliefs())
@settings(max_examples=100, deadline=None)
def test_hungarian_by_trying_all(belief):
    probability, alive = belief
    got = hungarian(probability, alive, 0.2)
    used = got[got >= 0]
    assert len(set(used)) == len(used)
    assert alive[used].all()

    def total(labels):
        return sum(values[label] for values, label in zip(probability, labels, strict=True))

    options = [*np.flatnonzero(alive), *[-1] * len(probability)]
    best = max(
        (
            total(labels)
            for labels in set(permutations(options, len(probability)))
            if all(
                label < 0 or values[label] >= 0.2
                for values, label in zip(probability, labels, strict=True)
            )
        ),
        default=0,
    )
    assert total(got) == pytest.approx(best, abs=1e-5)
