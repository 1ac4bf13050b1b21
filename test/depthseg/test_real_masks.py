"""Real masks and real depth through fusion, encoders and the tracker; limits are as measured.

`benchmarks/real_masks.py` prints the numbers over all frames. Masks one step back are the same
person's real ones, an oracle: what is tested is what becomes of good masks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mot_perception.perception.depth import object_depth
from mot_perception.perception.grid import sample
from mot_perception.perception.masks import DepthConsistentMasks
from mot_perception.types import Detections

pytest.importorskip('torch')

pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')
"""Of pycocotools."""

with pytest.MonkeyPatch.context() as path:
    path.syspath_prepend(Path(__file__).parents[2] / 'benchmarks')
    kitti_masks = pytest.importorskip('kitti_masks')
    real_masks = pytest.importorskip('real_masks')

FRAMES = 41
"""4.1 s: all nine people, of whom two large ones leave the view with the last frame."""


@pytest.fixture(scope='module')
def folder(shared_data):
    if not (found := shared_data / 'kitti_0017').is_dir():
        pytest.skip(f'real masks are not there: {found}')
    return found


@pytest.fixture(scope='module')
def street(folder):
    return kitti_masks.read_kitti(folder, FRAMES)


@pytest.fixture(scope='module')
def kinect(shared_data):
    if not (found := shared_data / 'rgbd' / 'kinect_person').is_dir():
        pytest.skip(f'real depth is not there: {found}')
    return real_masks.read_kinect(found)


CUES = 'raw map', 'crop, untrained', 'crop, shipped'


@pytest.fixture(scope='module', params=CUES)
def cue(request):
    made = real_masks.cues(large=False)
    if request.param not in made:
        pytest.skip('the shipped encoder is not there')
    return made[request.param]


@pytest.fixture(scope='module')
def raw():
    return real_masks.cues(large=False)['raw map']


def test_people_are_where_their_labels_are(street):
    for each in street:
        seen = each.masks.any((1, 2))
        median, spread = object_depth(each.frame.depth, each.masks[seen])
        np.testing.assert_allclose(median, each.z[seen], rtol=1e-6)
        assert not spread.any()


def test_unit_vectors(street, cue):
    for each in street[::5]:
        vectors, valid = cue.embed(each.frame.depth, each.masks)
        assert np.isfinite(vectors).all()
        assert (valid == each.masks.any((1, 2))).all()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), valid, atol=1e-5)


def test_empty_masks_say_nothing(street, cue):
    """Nor do those over unknown depth; the others do not change."""
    each = street[0]
    masks, depth = each.masks.copy(), each.frame.depth.copy()
    masks[0] = False
    depth[masks[1]] = np.nan
    vectors, valid = cue.embed(depth, masks)
    assert valid.tolist() == [False, False] + [True] * (len(masks) - 2)
    assert not vectors[:2].any()
    whole, _ = cue.embed(depth, each.masks)
    np.testing.assert_allclose(vectors[2:], whole[2:], atol=1e-5)


def test_unit_of_depth(street, folder, cue):
    for metres, feet in zip(
        street[::10], kitti_masks.read_kitti(folder, FRAMES, scale=3.28)[::10], strict=True
    ):
        one, other = (cue.embed(it.frame.depth, it.masks)[0] for it in (metres, feet))
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_raw_maps_tell_people_apart(street, raw):
    everybody, crowded = real_masks.alike(street, raw, 1)
    assert (everybody.objects, crowded.objects) == (297, 104)
    assert everybody.rank1 > 0.95
    assert everybody.margin > 0.5
    assert crowded.rank1 > 0.85
    assert crowded.margin > 0.3


def test_whose_box(street):
    """In any order; nobody's box has no mask."""
    before, now = street[19:21]
    order = np.random.default_rng(0).permutation(len(now.ids))
    boxes = np.vstack([now.boxes[order], [[0, 0, 9, 9]]])
    found = kitti_masks.RealMasks(street).step(before.frame, now.frame, boxes)
    assert (found.current[:-1] == now.masks[order]).all()
    for row, owner in enumerate(now.ids[order]):
        (then,) = before.masks[before.ids == owner]
        assert (found.previous[row] == then).all()
    assert not found.current[-1].any()
    assert not found.previous[-1].any()
    assert not found.reliable[-1]


def test_ids_are_kept(street, cue):
    """Every person has one identity for 41 frames, and nobody else has it."""
    truth = [Detections.of(each.boxes) for each in street]
    rows = real_masks.track(street, truth, cue, None)
    owner = {
        (number, float(box[0])): who
        for number, each in enumerate(street, 1)
        for who, box in zip(each.ids.tolist(), each.boxes, strict=True)
    }
    seen = zip(rows.frame.tolist(), rows.xyxy[:, 0].tolist(), rows.id.tolist(), strict=True)
    pairs = {
        (owner[frame, left], identity) for frame, left, identity in seen if (frame, left) in owner
    }
    people = {who for each in street for who in each.ids.tolist()}
    assert len(pairs) == len(people)
    assert {who for who, _ in pairs} == people
    assert len({identity for _, identity in pairs}) == len(people)


def test_the_cue_prevents_switches(folder, raw):
    """Boxes tremble by 5 % of their size: position alone confuses people."""
    street = kitti_masks.read_kitti(folder)
    truth = real_masks.labelled_rows(street)
    switches = {None: 0.0, raw: 0.0}
    for seed in range(2):
        boxes = [
            kitti_masks.jittered(each, np.random.default_rng((seed, k)), 0.05)
            for k, each in enumerate(street)
        ]
        for used in switches:
            rows = real_masks.track(street, boxes, used, None)
            switches[used] += real_masks.scored(truth, rows, len(street))[-1]
    assert switches[raw] <= switches[None] / 2
    assert switches[None] >= 3


LEAST_ALIKE = {'real': 0.9, 'by depth': 0.85}


@pytest.mark.parametrize('masks', LEAST_ALIKE)
@pytest.mark.parametrize('cue', CUES[:2], indirect=True)
def test_real_depth_of_consecutive_frames_is_alike(masks, kinect, cue):
    vectors = []
    for frame, person in kinect[::3] + kinect[1::3]:
        outline = sample(person)
        if masks == 'by depth':
            box = real_masks.extent(person)
            outline = DepthConsistentMasks().outline(frame, box)[0]
        depth = sample(frame.depth)
        assert (depth == 0).any()
        (vector,), (valid,) = cue.embed(depth, outline[None])
        assert valid
        vectors.append(vector)
    then, now = np.array(vectors[:10]), np.array(vectors[10:])
    cosines = np.einsum('ne,ne->n', then, now)
    assert cosines.min() > LEAST_ALIKE[masks]


def test_depth_of_a_real_person(kinect):
    for frame, person in kinect:
        known = person & (frame.depth > 0)
        median, spread = object_depth(sample(frame.depth), sample(person)[None])
        assert median[0] == pytest.approx(np.median(frame.depth[known]), rel=0.005)
        assert 0.01 < spread[0] < 0.3


def test_masks_by_depth_are_of_the_person(kinect):
    """Nothing beside him; and he is deep himself, so near."""
    outlined = DepthConsistentMasks()
    shares = []
    for frame, person in kinect:
        found, true = outlined.outline(frame, real_masks.extent(person))[0], sample(person)
        assert (found & true).sum() > 0.95 * found.sum()
        shares.append((found & true).sum() / true.sum())
    assert min(shares) > 0.8
    assert np.mean(shares) > 0.95


def test_one_real_person_is_one_track(kinect, raw):
    pipeline = real_masks.Pipeline(
        real_masks.Config.model_validate(real_masks.CUE),
        real_masks.Models(masks=DepthConsistentMasks(), depthseg=raw),
    )
    for frame, person in kinect:
        tracked = pipeline.step(frame, Detections.of(real_masks.extent(person)))
        assert tracked.tracks.id.tolist() == [1]
        assert tracked.tracks.depth[0] == pytest.approx(np.median(frame.depth[person]), rel=0.2)
