"""What holds of FDTA's tracker on any input, and the released one by the specification's words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_invariants import check_ids

from mot_perception.types import Detections, Embeddings, Frame, TrackState

torch = pytest.importorskip('torch')

from tiny_fdta import WIDTH, knowing, network  # noqa: E402

from mot_perception.fdta.assignment import hungarian, object_max  # noqa: E402
from mot_perception.fdta.id_decoder import Current, History  # noqa: E402
from mot_perception.trackers.fdta import FdtaTracker  # noqa: E402
from mot_perception.trackers.fdta_settings import FdtaConfig  # noqa: E402

PERIOD_NS = 50_000_000


def frame(index: int) -> Frame:
    return Frame(index * PERIOD_NS, index, 640, 360)


def crowd(generator: np.random.Generator, count: int, label=None) -> tuple[Detections, Embeddings]:
    """Boxes anywhere, scores of all kinds, and embeddings of twelve looks with a little noise."""
    corner = generator.uniform(0, 300, (count, 2))
    boxes = np.hstack([corner, corner + generator.uniform(1, 90, (count, 2))])
    looks = np.random.default_rng(0).normal(size=(12, WIDTH))
    vectors = looks[generator.integers(0, 12, count)] + 0.1 * generator.normal(size=(count, WIDTH))
    found = Detections.of(boxes, generator.uniform(0, 1, count), label)
    return found, Embeddings(vectors.astype(np.float32))


class Words:
    """The released tracker, step by step as specification §3 says it, with nothing kept."""

    def __init__(self, net, window: int, slots: int) -> None:
        self.net, self.window, self.slots = net, window, slots
        self.rows: list[dict[int, np.ndarray]] = []
        self.ids: dict[int, int] = {}
        self.touched = dict.fromkeys(range(slots), -1)
        self.next_id, self.number = 1, 0

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        labels = sorted({label for row in self.rows for label in row})
        if not labels or not len(features):
            return np.eye(self.slots + 1)[[self.slots] * len(features)]
        known = np.zeros((len(self.rows), len(labels), WIDTH), np.float32)
        missing = np.ones(known.shape[:2], bool)
        for number, row in enumerate(self.rows):
            for column, label in enumerate(labels):
                if label in row:
                    known[number, column], missing[number, column] = row[label], False
        times = torch.arange(len(self.rows), dtype=torch.float64)[None]
        history = History(
            torch.from_numpy(known)[None, None],
            torch.tensor(labels).expand(1, 1, len(self.rows), -1),
            torch.from_numpy(missing)[None, None],
            times,
        )
        now = Current(
            torch.from_numpy(features)[None, None, None],
            torch.zeros(1, 1, 1, len(features), dtype=torch.bool),
            torch.tensor([[float(len(self.rows))]]),
        )
        with torch.inference_mode():
            return self.net.identify(history, now)[0, 0, 0].softmax(-1).numpy()

    def step(self, found: Detections, embeddings: Embeddings) -> dict[int, int]:
        """Return the identity of each detection that has one."""
        seen = [row for row in range(len(found)) if found.score[row] > 0.3]
        table = self.probabilities(embeddings.appearance[seen])
        label_of: dict[int, int] = {}
        for row, values in zip(seen, table, strict=True):
            label = int(values.argmax())
            claims = np.where(table.argmax(1) == label, table[:, label], -1)
            best = seen[claims.argmax()]  # of equals the first
            if label in self.ids and values[label] >= 0.2 and best == row:
                label_of[row] = label
        newborn = [row for row in seen if row not in label_of and found.score[row] > 0.6]
        room = self.slots - len(label_of)
        newborn = sorted(sorted(newborn, key=lambda row: -found.score[row])[:room])
        for label in label_of.values():
            self.touched[label] = self.number
        free = sorted(set(range(self.slots)) - set(label_of.values()),
                      key=lambda label: (self.touched[label], label))  # fmt: skip
        for row, label in zip(newborn, free, strict=False):
            for past in self.rows:
                past.pop(label, None)
            label_of[row], self.ids[label] = label, self.next_id
            self.touched[label] = self.number
            self.next_id += 1
        self.rows = self.rows[-(self.window - 2) :]
        self.rows.append({label: embeddings.appearance[row] for row, label in label_of.items()})
        told = {row: self.ids[label] for row, label in label_of.items()}
        alive = {label for row in self.rows for label in row}
        self.ids = {label: identity for label, identity in self.ids.items() if label in alive}
        self.number += 1
        return told


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('slots', [6, 20])
def test_released_tracker_by_its_words(seed, slots):
    """Births, deaths, empty frames, conflicts, more objects than slots: the same identities."""
    window, generator = 5, np.random.default_rng(seed)
    net = network('row', window, slots)
    with torch.no_grad():  # so that it says something else than newborn, and of everybody
        net.id_decoder.embed_to_word_layers[0].weight.mul_(4)
    follow = FdtaTracker(net, FdtaConfig(preset='release'))
    words = Words(net, window, slots)
    born = again = 0
    for index in range(40):
        count = 0 if index % 9 == 5 else int(generator.integers(0, 14))
        found, embeddings = crowd(generator, count)
        tracks = follow.update(frame(index), found, embeddings).tracks
        rows = np.flatnonzero(tracks.detection >= 0)
        told = dict(zip(tracks.detection[rows].tolist(), tracks.id[rows].tolist(), strict=True))
        assert told == words.step(found, embeddings)
        again += sum(identity <= born for identity in told.values())
        born = max([born, *told.values()])
    assert born > slots  # labels went round
    assert again > 20  # and some were recognised
    assert (tracks.state[tracks.misses == 0] == TrackState.CONFIRMED).all()


numbers = st.one_of(st.floats(-500, 500), st.floats())
scores = st.one_of(st.floats(0, 1), st.floats())
objects = st.lists(
    st.tuples(numbers, numbers, numbers, numbers, scores, st.integers(0, 3), st.integers(0, 2)),
    max_size=12,
)
stamps = st.lists(st.integers(-(10**9), 10**10), min_size=5, max_size=5)


@given(st.lists(objects, max_size=5), stamps, st.sampled_from(['improved', 'release']))
@settings(max_examples=40, deadline=None)
def test_nothing_brings_it_down(frames, times, preset):
    """Any boxes, scores and embeddings at any time; identities live on and never come back."""
    follow = FdtaTracker(knowing(identities=5), FdtaConfig(preset=preset))
    looks = np.eye(WIDTH, dtype=np.float32)[:4]
    looks[3] = np.nan
    answers = []
    for stamp, rows in zip(times, frames, strict=False):
        table = np.array(rows, float).reshape(-1, 7)
        found = Detections.of(table[:, :4], table[:, 4], table[:, 6])
        embeddings = Embeddings(looks[table[:, 5].astype(int)])
        tracked = follow.update(Frame(stamp, 0, 640, 360), found, embeddings)
        tracks = tracked.tracks
        matched = tracks.detection[tracks.detection >= 0]
        assert len(set(matched)) == len(matched)
        assert found.valid()[matched].all()
        assert np.isfinite(embeddings.appearance[matched]).all()
        assert (tracks.state != TrackState.REMOVED).sum() <= 5
        assert np.isfinite(tracks.xyxy).all()
        if tracked.reset_count > (answers[-1].reset_count if answers else 0):
            answers = []
        answers.append(tracked)
        check_ids(answers)


@given(st.integers(0, 10**6), st.integers(0, 9), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_hungarian_is_worth_no_less_than_the_likeliest(seed, count, labels):
    generator = np.random.default_rng(seed)
    raw = generator.random((count, labels + 1)).astype(np.float32) ** 3
    probability = raw / raw.sum(1, keepdims=True)
    alive = generator.random(labels) < 0.7
    worth = []
    for assign in (hungarian, object_max):
        slots = assign(probability, alive, 0.2)
        worth.append(probability[np.arange(count), slots].sum())  # −1 is the newborn column
    assert worth[0] >= worth[1] - 1e-5


@pytest.mark.parametrize('assign', [hungarian, object_max])
@pytest.mark.parametrize(('least', 'slot'), [(0.5, 0), (0.51, -1)])
def test_a_probability_is_believed_from_the_least_on(assign, least, slot):
    probability = np.array([[0.5, 0.1, 0.4]], np.float32)
    assert assign(probability, np.array([True, True]), least).tolist() == [slot]


@pytest.mark.parametrize('preset', ['improved', 'release'])
def test_more_people_than_the_dictionary_has_entries(preset):
    """Sixty at once: the fifty best are followed, and whoever is there in the next frame too."""
    generator = np.random.default_rng(0)
    follow = FdtaTracker(knowing(window=30, identities=50), FdtaConfig(preset=preset))
    vectors = generator.normal(size=(60, WIDTH)).astype(np.float32)
    boxes = np.arange(60)[:, None] * 10 + [0, 0, 9, 9]
    found = Detections.of(boxes, np.linspace(0.65, 0.99, 60))
    told = [follow.update(frame(i), found, Embeddings(vectors)).tracks for i in range(4)]
    for tracks in told:
        assert sorted(tracks.detection[tracks.detection >= 0]) == list(range(10, 60))
        assert len(tracks) == 50
    np.testing.assert_array_equal(told[0].id, told[-1].id)
    np.testing.assert_array_equal(told[0].detection, told[-1].detection)


def test_a_thousand_detections():
    follow = FdtaTracker(network(identities=50), FdtaConfig())
    found, embeddings = crowd(np.random.default_rng(0), 1000)
    for index in range(3):
        tracked = follow.update(frame(index), found, embeddings)
    assert 0 < len(tracked.tracks) <= 100  # some end with the frame
    assert len(follow.update(frame(3), Detections.empty()).tracks) == 50


@pytest.mark.parametrize(('preset', 'same'), [('improved', False), ('release', True)])
def test_classes(preset, same):
    """Whoever looks like a track of another class is no one known."""
    follow = FdtaTracker(knowing(), FdtaConfig(preset=preset))
    vector = Embeddings(np.eye(WIDTH, dtype=np.float32)[:1])
    follow.update(frame(0), Detections.of([[0, 0, 9, 9]], [0.9], [0]), vector)
    tracks = follow.update(frame(1), Detections.of([[0, 0, 9, 9]], [0.9], [1]), vector).tracks
    assert tracks.id[tracks.detection == 0].tolist() == ([1] if same else [2])
    assert tracks.label[tracks.detection == 0].tolist() == [1]


@pytest.mark.parametrize('broken', [np.nan, np.inf, -np.inf])
def test_broken_embeddings_are_nobody(broken):
    follow = FdtaTracker(network(), FdtaConfig())
    found, embeddings = crowd(np.random.default_rng(0), 6)
    found = Detections.of(found.xyxy)
    embeddings.appearance[[1, 4], [3, 30]] = broken
    for index in range(3):
        tracks = follow.update(frame(index), found, embeddings).tracks
        assert set(tracks.detection) - {-1} == {0, 2, 3, 5}


def test_who_is_forgotten_is_not_recognised():
    """Whatever the network says of a label that nothing is remembered of any more."""
    net, says = knowing(window=30), [1]

    def certain(history: History, current: Current) -> torch.Tensor:
        table = 20.0 * torch.eye(10)[says[0]]
        return table.expand(*current.features.shape[:-1], 10)

    net.id_decoder.forward = certain
    follow = FdtaTracker(net, FdtaConfig(max_age=1.0))
    vectors = np.eye(WIDTH, dtype=np.float32)
    two = Detections.of([[0, 0, 9, 9], [20, 0, 29, 9]])
    one = two.select(np.array([1]))
    follow.update(frame(0), two, Embeddings(vectors[:2]))
    second = follow.update(frame(15), one, Embeddings(vectors[1:2])).tracks
    assert second.id[second.detection == 0].tolist() == [2]
    says[0] = 0
    third = follow.update(frame(30), one, Embeddings(vectors[1:2])).tracks
    assert third.id[third.detection == 0].tolist() == [3]


def test_the_same_input_gives_the_same_answers():
    answers = []
    for _ in range(2):
        generator, follow = np.random.default_rng(1), FdtaTracker(network(), FdtaConfig())
        told = [follow.update(frame(index), *crowd(generator, 8)).tracks for index in range(8)]
        answers.append(np.concatenate([tracks.association_score for tracks in told]))
    np.testing.assert_array_equal(*answers)
