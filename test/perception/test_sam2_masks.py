"""Masks by SAM 2: boxes, images that are remembered, and what is not to be relied on."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import tiny_sam2

from mot_perception.errors import UserError
from mot_perception.types import Frame

torch = pytest.importorskip('torch')
pytest.importorskip('transformers')
sam2_masks = pytest.importorskip('mot_perception.perception.sam2_masks')
sam2_network = pytest.importorskip('mot_perception.perception.sam2_network')

HEIGHT, WIDTH = 120, 200
CELLS = tiny_sam2.SIDE // 4
BOXES = np.array(
    [[10, 5, 90, 110], [0, 0, 200, 120], [60, 20, 100, 60], [120, 50, 190, 118]], np.float64
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tiny_sam2.saved(tmp_path_factory.mktemp('sam2'))


@pytest.fixture
def masks(folder, device):
    masks = sam2_masks.Sam2Masks(str(folder), device=device)
    masks._at_once = 3  # less than there are boxes, and more than one on any device
    return masks


@pytest.fixture
def encoded(monkeypatch):
    """The pixels of the images that the network has looked at."""
    seen = []

    def encode(network, pixels):
        seen.append(pixels.cpu())
        return sam2_network.encode(network, pixels)

    monkeypatch.setattr(sam2_masks, 'encode', encode)
    return seen


def frame(seed: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Frame(stamp_ns=seed, index=seed, width=width, height=height, image=image)


def test_one_row_for_each_box_in_order(masks):
    found = masks.step(frame(0), frame(1), BOXES)
    order = [2, 0, 3, 1]
    turned = masks.step(frame(0), frame(1), BOXES[order])
    for name in ('current', 'previous', 'reliable'):
        rows = getattr(found, name)
        assert rows.dtype == np.bool_
        assert len(rows) == len(BOXES)
        np.testing.assert_array_equal(getattr(turned, name), rows[order])
    assert found.current.shape == found.previous.shape == (len(BOXES), CELLS, CELLS)
    assert found.current.any((1, 2)).all()
    assert found.previous.any((1, 2)).all()
    assert len({mask.tobytes() for mask in found.current}) == len(BOXES)
    assert len({mask.tobytes() for mask in found.previous}) == len(BOXES)


def test_other_boxes_change_nothing(masks):
    found = masks.step(frame(0), frame(1), BOXES)
    for left_out in range(len(BOXES)):
        fewer = masks.step(frame(0), frame(1), np.delete(BOXES, left_out, 0))
        for name in ('current', 'previous', 'reliable'):
            rows = np.delete(getattr(found, name), left_out, 0)
            np.testing.assert_array_equal(getattr(fewer, name), rows)


def test_no_boxes(masks, encoded):
    found = masks.step(frame(0), frame(1), np.empty((0, 4)))
    assert found.current.shape == found.previous.shape == (0, CELLS, CELLS)
    assert found.reliable.shape == (0,)
    assert masks.outline(frame(0), np.empty((0, 4))).shape == (0, CELLS, CELLS)
    assert not encoded


def test_it_goes_backwards(masks):
    """The frame at t is outlined by itself, and what is there is found in the one at t−1.

    That masks sit where objects were cannot be shown with random weights; which image is prompted,
    and which one is looked at with the memory of it, can.
    """
    now = frame(1)
    found = masks.step(frame(0), now, BOXES)
    np.testing.assert_array_equal(found.current, masks.outline(now, BOXES))
    other = masks.step(frame(2), now, BOXES)
    np.testing.assert_array_equal(found.current, other.current)
    assert (found.previous != other.previous).any((1, 2)).all()
    moved = masks.step(frame(0), frame(3), BOXES)
    assert (found.previous != moved.previous).any((1, 2)).all()


def test_start_of_a_sequence(masks, encoded):
    first = frame(0)
    found = masks.step(first, first, BOXES)
    assert len(encoded) == 1
    assert found.previous.any((1, 2)).all()
    np.testing.assert_array_equal(found.current, masks.outline(first, BOXES))


def test_each_frame_is_encoded_once(masks, encoded):
    frames = [frame(seed) for seed in range(5)]
    for previous, current in zip([frames[0], *frames], frames, strict=False):
        masks.step(previous, current, BOXES)
        masks.outline(previous, BOXES + 3)
    assert len(encoded) == len(frames)


def test_cameras_take_turns(folder, encoded):
    shared = sam2_masks.Sam2Masks(str(folder), device='cpu', remembered=6)
    cameras = [[frame(10 * camera + time) for time in range(4)] for camera in range(3)]
    for time in range(4):
        for frames in cameras:
            shared.step(frames[max(time - 1, 0)], frames[time], BOXES)
    assert len(encoded) == 12


def test_few_images_are_kept(folder, encoded):
    masks = sam2_masks.Sam2Masks(str(folder), device='cpu', remembered=3)
    kept = []
    for seed in range(6):
        image = frame(seed)
        masks.outline(image, BOXES)
        kept.append(weakref.ref(image.image))
        del image
        assert sum(it() is not None for it in kept) == min(seed + 1, 3)
    del masks
    assert len(encoded) == 6


def test_the_least_recent_goes_first(folder, encoded):
    masks = sam2_masks.Sam2Masks(str(folder), device='cpu', remembered=2)
    first, second, third = (frame(seed) for seed in range(3))
    for image in (first, second, first, third, first):
        masks.outline(image, BOXES)
    assert len(encoded) == 3
    masks.outline(second, BOXES)
    assert len(encoded) == 4


def test_images_of_other_sizes(masks):
    found = masks.step(frame(0, 48, 64), frame(1), BOXES)
    assert found.previous.shape == (len(BOXES), CELLS, CELLS)


def test_pixels(masks, encoded):
    """RGB, scaled to a square without keeping the aspect ratio, less ImageNet's mean."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, :, 2] = 255  # red
    image[:, WIDTH // 2 :, 0] = 51  # and some blue on the right
    masks.outline(Frame(0, 0, WIDTH, HEIGHT, image), BOXES)
    pixels = encoded[0].numpy()
    side = tiny_sam2.SIDE
    assert pixels.shape == (1, 3, side, side)
    for channel, (left, right, mean, deviation) in enumerate(
        [(1, 1, 0.485, 0.229), (0, 0, 0.456, 0.224), (0, 0.2, 0.406, 0.225)]
    ):
        seen = pixels[0, channel] * deviation + mean
        np.testing.assert_allclose(seen[:, : side // 2 - 2], left, atol=1e-5)
        np.testing.assert_allclose(seen[:, side // 2 + 2 :], right, atol=1e-5)


def test_boxes_are_rounded_and_clipped(masks):
    given = np.array([[10.4, 4.6, 90.3, 110.4], [-50, -1e6, 1e9, 130]])
    np.testing.assert_array_equal(
        masks.outline(frame(0), given), masks.outline(frame(0), BOXES[:2])
    )


NOWHERE = [
    [np.nan, 0, 50, 50],
    [np.nan] * 4,
    [-np.inf, 0, np.inf, 50],
    [300, 10, 400, 60],
    [-80, -80, -10, -10],
    [50, 50, 51, 51],
    [50, 50, 50.2, 90],
    [90, 90, 20, 20],
    [0, 0, 0, 0],
    [199, 0, 260, 100],
]


def test_boxes_without_a_place(masks):
    boxes = np.vstack([NOWHERE, BOXES[:1]])
    found = masks.step(frame(0), frame(1), boxes)
    alone = masks.step(frame(0), frame(1), BOXES[:1])
    for name in ('current', 'previous', 'reliable'):
        assert not getattr(found, name)[:-1].any(), name
        np.testing.assert_array_equal(getattr(found, name)[-1:], getattr(alone, name))
    assert not masks.outline(frame(0), boxes)[:-1].any()


def test_nothing_but_boxes_without_a_place(masks, encoded):
    found = masks.step(frame(0), frame(1), np.array(NOWHERE))
    assert not found.reliable.any()
    assert not encoded


def test_many_objects_go_through_in_parts(masks, encoded):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, [150, 80], (500, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 40, (500, 2))])
    masks._at_once = 32
    found = masks.step(frame(0), frame(1), boxes)
    assert len(encoded) == 2
    assert found.current.shape == (500, CELLS, CELLS)
    some = [0, 31, 32, 333, 499]
    few = masks.step(frame(0), frame(1), boxes[some])
    np.testing.assert_array_equal(found.current[some], few.current)
    np.testing.assert_array_equal(found.previous[some], few.previous)


def test_absent_objects_are_unreliable(tmp_path):
    network = tiny_sam2.network(presence=-100.0)
    found = sam2_masks.Sam2Masks(str(tiny_sam2.saved(tmp_path, network)), device='cpu').step(
        frame(0), frame(1), BOXES
    )
    assert not found.current.any()
    assert not found.previous.any()
    assert not found.reliable.any()


class Outlined:
    """Masks in place of the network's, in logits."""

    def __init__(self, monkeypatch, current, previous):
        def objects(logits):
            logits = torch.from_numpy(np.where(logits, 1.0, -1.0))
            return sam2_network.Objects(logits, torch.ones(len(logits), 1), torch.zeros(1))

        monkeypatch.setattr(sam2_masks, 'prompted', lambda *_: objects(current))
        monkeypatch.setattr(sam2_masks, 'remember', lambda *_: None)
        monkeypatch.setattr(sam2_masks, 'propagated', lambda *_: objects(previous))


def test_what_is_reliable(masks, monkeypatch):
    current, previous = np.zeros((2, 6, CELLS, CELLS), np.bool_)
    current[[0, 1], :, : CELLS // 2] = True  # of two with one mask the latter is lost before
    current[2, 0, 0] = True  # far too little of the box
    current[[3, 5], :, CELLS // 2 :] = True  # beside the box of 3, which is not 5's
    previous[[0, 2, 3, 4], 5, 5] = True
    previous[5, 0, 0] = True
    Outlined(monkeypatch, current, previous)
    masks._at_once = len(current)
    left, right = [0, 0, WIDTH / 2, HEIGHT], [WIDTH / 2, 0, WIDTH, HEIGHT]
    found = masks.step(frame(0), frame(1), np.array([*[left] * 5, right]))
    np.testing.assert_array_equal(found.reliable, [True, False, False, False, False, True])


def test_share_of_the_box_is_a_loop_over_cells():
    rng = np.random.default_rng(0)
    seen = rng.random((40, 12, 16)) < 0.5
    image = np.zeros((60, 90, 3), np.uint8)
    corner = rng.integers(0, [60, 40], (40, 2))
    boxes = np.hstack([corner, corner + rng.integers(1, 30, (40, 2))]).astype(np.float64)
    shares = sam2_masks._filled(seen, boxes, image)
    for mask, (left, top, right, bottom), share in zip(seen, boxes, shares, strict=True):
        filled = sum(
            mask[row, column]
            for row in range(12)
            for column in range(16)
            if top <= (row + 0.5) * 60 / 12 < bottom and left <= (column + 0.5) * 90 / 16 < right
        )
        area = (right - left) * 16 / 90 * (bottom - top) * 12 / 60
        assert share == pytest.approx(filled / area)


@pytest.mark.parametrize('which', ['previous', 'current'])
def test_frames_need_images(masks, which):
    frames = {'previous': frame(0), 'current': frame(1)}
    frames[which] = Frame(stamp_ns=0, index=0, width=WIDTH, height=HEIGHT)
    with pytest.raises(ValueError, match='image'):
        masks.step(**frames, xyxy=BOXES)
    with pytest.raises(ValueError, match='image'):
        masks.outline(frames[which], BOXES)


def test_half_precision(folder, device):
    """On a CPU it is not taken; the way there is the same as on a GPU."""
    masks = sam2_masks.Sam2Masks(str(folder), device=device, half=True)
    exact = sam2_masks.Sam2Masks(str(folder), device=device, half=False)
    masks._half = True
    found = masks.step(frame(0), frame(1), BOXES)
    expected = exact.step(frame(0), frame(1), BOXES)
    assert (found.current == expected.current).mean() > 0.8
    assert (found.previous == expected.previous).mean() > 0.8


def test_name_and_memory(masks, folder, device):
    assert folder.name in masks.name
    assert 'sha256 ' in masks.name
    assert (masks.gpu_bytes() > 0) == (device != 'cpu')
    masks.close()
    assert masks.gpu_bytes() == 0


def test_a_step_needs_two_images(folder):
    with pytest.raises(ValueError, match='remembered'):
        sam2_masks.Sam2Masks(str(folder), device='cpu', remembered=1)


def test_settings_that_do_not_fit_together(tmp_path):
    """Found out only when an image goes through: the weights have the same shapes."""
    config = tiny_sam2.config('2.1')
    config.memory_attention_rope_feat_sizes = [3, 3]
    network = type(tiny_sam2.network())(config)
    masks = sam2_masks.Sam2Masks(str(tiny_sam2.saved(tmp_path, network)), device='cpu')
    with pytest.raises(UserError, match='do not fit together'):
        masks.step(frame(0), frame(1), BOXES)
