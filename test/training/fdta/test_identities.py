"""What the ID decoder is asked about clips, beside loops that say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from mot_perception.fdta.identity_adapter import IdentityAdapter
from mot_perception.fdta.losses.contrastive_loss import contrastive_loss
from mot_perception.fdta.losses.detection_loss import Match, Objects
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settings import FdtaSettings
from mot_perception.training.fdta.identities import ask, compare, tell
from mot_perception.training.fdta.seeing import Seen
from mot_perception.training.fdta.settings import FdtaTraining, changed

CLIPS, FRAMES, QUERIES, WIDTH, LABELS = 2, 4, 7, 16, 6


def settings(**other):
    network = FdtaSettings.model_validate(
        {
            'window': FRAMES,
            'detector': {
                'queries': QUERIES, 'width': WIDTH, 'heads': 2, 'points': 1, 'levels': 3,
                'encoder_layers': 1, 'decoder_layers': 1, 'hidden': 16,
                'blocks': (1, 1, 1, 1), 'stem': 4,
            },
            'spatial': {'order': 'self-vision'},
            'temporal': {'layers': 1, 'heads': 2, 'hidden': 16, 'dropout': 0.0},
            'identity': {'identities': LABELS, 'layers': 2, 'heads': 2},
        }
    )  # fmt: skip
    return changed(FdtaTraining(network=network, length=FRAMES, groups=3), **other)


@pytest.fixture
def truth():
    """Identities of the clips: of the second one more than there are labels."""
    random = np.random.default_rng(0)
    there = [[[0, 1], [1], [], [0, 2, 1]], [[3, 0, 1], [5, 4], [2, 6, 0], [6, 1]]]
    return [
        [
            Objects(
                torch.from_numpy(random.uniform(0.2, 0.4, (len(ids), 4)).astype(np.float32)),
                torch.zeros(len(ids), dtype=torch.int64),
                torch.tensor(ids, dtype=torch.int64),
            )
            for ids in clip
        ]
        for clip in there
    ]


@pytest.fixture
def seen(truth):
    torch.manual_seed(1)
    frames = CLIPS * FRAMES
    matches = []
    for objects in every(truth):
        count = len(objects.ids)
        matches.append(Match(torch.randperm(QUERIES)[:count], torch.randperm(count)))
    return Seen(
        torch.randn(frames, QUERIES, WIDTH),
        torch.rand(frames, QUERIES, 4) * 0.3 + 0.2,
        matches,
        torch.zeros(0, dtype=torch.int64),
        None,
        None,
        {},
    )


def every(clips):
    return [objects for clip in clips for objects in clip]


def asked_of(truth, training):
    return ask(truth, training, [(0, clip) for clip in range(CLIPS)])


def embedding(seen, truth, clip, frame, identity):
    """The query's embedding that the match says is this identity."""
    number = clip * FRAMES + frame
    match, objects = seen.matches[number], truth[clip][frame]
    for query, row in zip(match.queries.tolist(), match.objects.tolist(), strict=True):
        if objects.ids[row] == identity:
            return seen.embeddings[number, query]
    raise AssertionError('is not there')


def test_shapes_and_padding(truth):
    asked = asked_of(truth, settings())
    assert asked.columns.tolist()[0] == [0, 1, 2, -1, -1, -1]
    assert (asked.columns[1] >= 0).all()
    assert asked.missing[0, :, :, 3:].all()
    assert asked.asked_missing[0, :, :, 3:].all()


def test_the_same_seed_asks_the_same(truth):
    for one, two in zip(asked_of(truth, settings()), asked_of(truth, settings()), strict=True):
        assert torch.equal(one, two)


def test_losses_are_those_of_asking_frame_by_frame(truth, seen):
    """Each group, frame and detection on its own, by the streaming form's rules."""
    training = settings()
    torch.manual_seed(2)
    network = Fdta(training.network).eval()
    asked = asked_of(truth, training)
    times = torch.arange(FRAMES, dtype=torch.float64).expand(CLIPS, -1)
    labels, places, right = tell(network, seen, every(truth), asked, times)
    entropy = correct = count = 0.0
    for clip in range(CLIPS):
        columns = asked.columns[clip]
        used = (columns >= 0).nonzero()[:, 0].tolist()
        for group in range(training.groups):
            features = torch.zeros(FRAMES, len(columns), WIDTH)
            current = torch.zeros(FRAMES, len(columns), WIDTH)
            for frame in range(FRAMES):
                for slot in used:
                    if not asked.missing[clip, group, frame, slot]:
                        whose = int(columns[asked.source[clip, group, frame, slot]])
                        features[frame, slot] = embedding(seen, truth, clip, frame, whose)
                    if not asked.asked_missing[clip, group, frame, slot]:
                        whose = int(columns[slot])
                        current[frame, slot] = embedding(seen, truth, clip, frame, whose)
            logits = answers(network, asked, clip, group, features, current)
            for frame in range(1, FRAMES):
                for slot in used:
                    if asked.asked_missing[clip, group, frame, slot]:
                        continue
                    target = asked.target[clip, group, frame, slot]
                    entropy += functional.cross_entropy(logits[frame, slot], target).item()
                    correct += float(logits[frame, slot].argmax() == target)
                    count += 1
    assert labels.count.item() == right.count.item() == places.count.item() == count
    assert labels.total.item() == pytest.approx(entropy, rel=1e-4)
    assert right.total.item() == correct


def answers(network, asked, clip, group, features, current):
    from mot_perception.fdta.id_decoder import Current, History

    one = (slice(clip, clip + 1), slice(group, group + 1))
    times = torch.arange(FRAMES, dtype=torch.float64)[None]
    labels = asked.labels[one][:, :, None].expand(-1, -1, FRAMES, -1)
    history = History(features[None, None], labels, asked.missing[one], times)
    now = Current(current[None, None], asked.asked_missing[one], times)
    return network.identify(history, now)[0, 0]


def test_wrong_places_cost_nothing_where_answers_are_right(truth, seen):
    training = settings()
    network = Fdta(training.network).eval()
    asked = asked_of(truth, training)
    times = torch.arange(FRAMES, dtype=torch.float64).expand(CLIPS, -1)

    def sure(history, current):
        return functional.one_hot(asked.target, LABELS + 1).float() * 200

    network.identify = sure
    labels, places, right = tell(network, seen, every(truth), asked, times)
    assert labels.total.item() == pytest.approx(0, abs=1e-4)
    assert places.total.item() == pytest.approx(0, abs=1e-4)
    assert right.total == right.count


def pools(training):
    size = FRAMES if training.contrastive == 'paper' else 3
    for clip in range(CLIPS):
        for first in range(0, FRAMES, size):
            yield clip, range(first, min(first + size, FRAMES))


@pytest.mark.parametrize('form', ['paper', 'release'])
@pytest.mark.parametrize('quality', ['iou', 'generalised'])
def test_embeddings_are_compared_within_pools(truth, seen, form, quality, monkeypatch):
    monkeypatch.setattr('mot_perception.training.fdta.identities.POOL', 3)
    training = settings(contrastive=form, quality=quality)
    torch.manual_seed(3)
    adapter = IdentityAdapter(WIDTH)
    seen = seen._replace(boxes=near(seen, truth))
    result = compare(adapter, seen, every(truth), training)
    total, count = 0.0, 0.0
    for clip, frames in pools(training):
        vectors, ids, overlap = [], [], []
        for frame in frames:
            objects = truth[clip][frame]
            for row, identity in enumerate(objects.ids.tolist()):
                vectors.append(adapter(embedding(seen, truth, clip, frame, identity)))
                ids.append(identity)
                overlap.append(quality_of(seen, truth, clip, frame, row, quality))
        if vectors:
            lost = contrastive_loss(
                torch.stack(vectors), torch.tensor(ids), torch.tensor(overlap), form
            )
            if form == 'paper':
                total, count = total + lost.total.item(), count + lost.count.item()
            else:
                total += lost.mean().item()
    count = count or CLIPS
    assert total > 0
    assert result.count.item() == count
    assert result.total.item() == pytest.approx(total, rel=1e-4)


def near(seen, truth):
    """Boxes of the queries that are somebody: a little beside the truth."""
    boxes = seen.boxes.clone()
    for number, (match, objects) in enumerate(zip(seen.matches, every(truth), strict=True)):
        boxes[number, match.queries] = objects.boxes[match.objects] * 1.03
    return boxes


def quality_of(seen, truth, clip, frame, row, kind):
    number = clip * FRAMES + frame
    match = seen.matches[number]
    place = match.objects.tolist().index(row)
    one = seen.boxes[number, match.queries[place]].tolist()
    two = truth[clip][frame].boxes[row].tolist()
    sides = []
    for axis in (0, 1):
        a = one[axis] - one[axis + 2] / 2, one[axis] + one[axis + 2] / 2
        b = two[axis] - two[axis + 2] / 2, two[axis] + two[axis + 2] / 2
        both = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
        sides.append((a[1] - a[0], b[1] - b[0], both, max(a[1], b[1]) - min(a[0], b[0])))
    common = sides[0][2] * sides[1][2]
    union = sides[0][0] * sides[1][0] + sides[0][1] * sides[1][1] - common
    around = sides[0][3] * sides[1][3]
    return common / union - (kind == 'generalised') * (around - union) / around


def test_no_pairs_lose_nothing(truth, seen):
    alone = [[Objects(*(part[:0] for part in objects)) for objects in clip] for clip in truth]
    nobody = Match(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    seen = seen._replace(matches=[nobody] * CLIPS * FRAMES)
    adapter = IdentityAdapter(WIDTH)
    for form in ('paper', 'release'):
        lost = compare(adapter, seen, every(alone), settings(contrastive=form))
        assert lost.mean().item() == 0
