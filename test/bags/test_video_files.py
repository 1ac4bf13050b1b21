from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mot_perception.bags import video_writer
from mot_perception.bags.drawing import PALETTE, TrackPainter, colour_of
from mot_perception.bags.source import open_source
from mot_perception.bags.video_writer import AnnotatedVideoWriter
from mot_perception.errors import UserError
from mot_perception.types import Frame, TrackedFrame, Tracks, TrackState


def tracks_at(*rows, depth=np.nan):
    """Tracks of rows (id, state, box)."""
    n = len(rows)
    zeros = np.zeros(n, np.int64)
    return Tracks(
        id=np.array([row[0] for row in rows], np.int64),
        state=np.array([row[1] for row in rows], np.int8),
        xyxy=np.array([row[2] for row in rows], np.float64).reshape(n, 4),
        score=np.ones(n),
        association_score=np.ones(n),
        label=np.zeros(n, np.int32),
        detection=zeros,
        velocity=np.zeros((n, 2)),
        age=zeros,
        hits=zeros,
        misses=zeros,
        first_seen_ns=zeros,
        last_seen_ns=zeros,
        depth=np.full(n, depth),
        depth_stddev=np.full(n, np.nan),
    )


def tracked_at(k=0, *rows, size=(320, 180), image=True, **options):
    width, height = size
    picture = np.full((height, width, 3), 100 + k, np.uint8) if image else None
    frame = Frame(k * 40_000_000, k, width, height, picture)
    return TrackedFrame(frame, tracks_at(*rows, **options), depth_is_metric=True)


def read_frames(path):
    video = cv2.VideoCapture(str(path))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    return frames, video.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize(
    ('size', 'drawn'),
    [
        ((320, 180), (640, 360)),  # small pictures are doubled
        ((960, 540), (960, 540)),
        ((961, 541), (960, 540)),  # codecs want even sides
        ((2560, 1440), (1920, 1080)),
        ((1224, 370), (1224, 370)),  # wide ones are not
    ],
)
@pytest.mark.parametrize('image', [True, False])
def test_frames_of_a_video(tmp_path, size, drawn, image):
    with AnnotatedVideoWriter(tmp_path / 'v.mp4', fps=12.5) as video:
        for k in range(4):
            video.write(tracked_at(k, (1, 1, [10, 40, 60, 150]), size=size, image=image))
    frames, fps = read_frames(tmp_path / 'v.mp4')
    assert len(frames) == 4
    assert fps == 12.5
    assert frames[0].shape[:2] == drawn[::-1]


def test_the_given_image_is_not_drawn_on(tmp_path):
    tracked = tracked_at(0, (1, 1, [10, 40, 60, 150]), size=(960, 540))
    before = tracked.frame.image.copy()
    with AnnotatedVideoWriter(tmp_path / 'v.mp4') as video:
        video.write(tracked)
    np.testing.assert_array_equal(tracked.frame.image, before)


def test_a_video_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / 'v.mp4'
    with pytest.raises(KeyboardInterrupt), AnnotatedVideoWriter(target) as video:
        video.write(tracked_at())
        raise KeyboardInterrupt
    with pytest.raises(UserError, match=r'cannot be written'), AnnotatedVideoWriter(target):
        pass  # no frame, no video
    monkeypatch.setattr(video_writer, '_count_frames', lambda _: 1)  # as after a full disk
    with (
        pytest.raises(UserError, match=r'only 1 of 2 frames could be written'),
        AnnotatedVideoWriter(target) as video,
    ):
        video.write(tracked_at(0))
        video.write(tracked_at(1))
    assert list(tmp_path.iterdir()) == []


def test_unknown_size_and_missing_codec(tmp_path, monkeypatch):
    with (
        pytest.raises(UserError, match='image size unknown'),
        AnnotatedVideoWriter(tmp_path / 'v.mp4') as video,
    ):
        video.write(tracked_at(size=(0, 0), image=False))
    monkeypatch.setattr(video_writer, 'CODECS', ('none',))
    with (
        pytest.raises(UserError, match='writes no mp4'),
        AnnotatedVideoWriter(tmp_path / 'v.mp4') as video,
    ):
        video.write(tracked_at())


# ------------------------------------------------------------------ drawing


def paint(*frames, size=(960, 540)):
    painter = TrackPainter()
    for tracked in frames:
        canvas = np.full((size[1], size[0], 3), 50, np.uint8)
        painter.paint(canvas, tracked)
    return canvas


def share_on_line(canvas, colour, row, columns):
    """How much of a horizontal line has a colour."""
    line = canvas[row, columns[0] : columns[1]].astype(int)
    return (np.abs(line - colour).sum(1) < 60).mean()


def test_states_look_different():
    box = [200, 200, 400, 400]
    share = {}
    for state in TrackState:
        canvas = paint(tracked_at(0, (3, state, box), size=(960, 540)))
        share[state] = share_on_line(canvas, colour_of(3), 400, (210, 390))
    assert share[TrackState.CONFIRMED] > 0.99
    assert 0.4 < share[TrackState.COASTING] < 0.8  # dashes
    assert share[TrackState.TENTATIVE] > 0.99
    assert share[TrackState.REMOVED] == 0


def test_label_has_the_colour_of_the_id():
    for identity in (1, 2):
        canvas = paint(tracked_at(0, (identity, 1, [200, 200, 400, 400]), size=(960, 540)))
        assert tuple(canvas[183, 202].tolist()) == colour_of(identity)
    tentative = paint(tracked_at(0, (1, 0, [200, 200, 400, 400]), size=(960, 540)))
    assert (tentative[183, 202] == 50).all()


def test_labels_do_not_cover_each_other():
    box = [200, 300, 400, 500]
    crowd = [(identity, 1, box) for identity in (1, 2, 3)]
    canvas = paint(tracked_at(0, *crowd, size=(960, 540)))
    for identity in (1, 2, 3):
        chip = np.abs(canvas[:300].astype(int) - colour_of(identity)).sum(2) == 0
        assert chip.sum() > 150, identity


def test_trail_follows_the_feet():
    frames = [
        tracked_at(k, (1, 1, [100 + 10 * k, 100, 150 + 10 * k, 300]), size=(960, 540))
        for k in range(10)
    ]
    moved = paint(*frames)
    alone = paint(frames[-1])
    assert (moved[300, 130:180] != 50).any()
    assert (alone[300, 130:180] == 50).all()
    gone = paint(*frames, tracked_at(10, size=(960, 540)))
    assert (gone[:400] == 50).all()


def test_an_outline_goes_round_the_mask():
    mask = np.zeros((1, 54, 96), np.bool_)
    mask[0, 25:35, 24:36] = True  # a cell is 10×10 pixels
    tracked = tracked_at(0, (3, 1, [200, 200, 400, 400]), size=(960, 540))
    canvas = paint(replace(tracked, masks=mask))
    for row in (250, 349):
        near = max(
            share_on_line(canvas, colour_of(3), row + off, (250, 350)) for off in (-1, 0, 1)
        )
        assert near > 0.95
    assert (canvas[265:335, 255:345] == 50).all()  # within
    assert (canvas[205:240, 205:395] == 50).all()  # between it and the box
    half = np.full((270, 480, 3), 50, np.uint8)  # of half the size: where it is there
    TrackPainter().paint(half, replace(tracked, masks=mask))
    assert (half[133:167, 128:172] == 50).all()
    assert (half[124:127, 130:170] != 50).any()


@pytest.mark.parametrize('masks', [np.zeros((1, 9, 16), np.bool_), None])
def test_where_there_is_no_mask_nothing_changes(masks):
    tracked = tracked_at(0, (3, 1, [200, 200, 400, 400]), size=(960, 540))
    np.testing.assert_array_equal(paint(replace(tracked, masks=masks)), paint(tracked))


def test_a_predicted_box_has_no_outline():
    tracked = tracked_at(0, (3, 2, [200, 200, 400, 400]), size=(960, 540))
    unseen = replace(tracked.tracks, detection=np.array([-1]))
    unseen = replace(tracked, tracks=unseen, masks=np.ones((1, 9, 16), np.bool_))
    np.testing.assert_array_equal(paint(unseen), paint(tracked))


@pytest.mark.parametrize('shape', [(18, 32), (54, 96), (1620, 1620)])
def test_masks_of_any_grid_are_outlined(shape):
    tracked = tracked_at(0, (3, 1, [200, 200, 400, 400]), size=(960, 540))
    masks = np.zeros((1, *shape), np.bool_)
    masks[:, shape[0] // 3 :] = True
    canvas = paint(replace(tracked, masks=masks))
    line = [share_on_line(canvas, colour_of(3), 180 + off, (450, 700)) for off in (-1, 0, 1)]
    assert max(line) > 0.95
    assert (canvas[:170] == 50).all()
    assert (canvas[190:530, 450:950] == 50).all()


@pytest.mark.parametrize(
    'box',
    [
        [-500, -500, -400, -400],
        [940, 10, 2000, 700],
        [-1e9, -1e9, 1e9, 1e9],
        [np.nan, 0, 10, 10],
        [10, 10, 10, 10],
        [0, 0, 960, 540],
    ],
)
@pytest.mark.parametrize('state', TrackState)
def test_boxes_anywhere_are_drawn_or_left_out(box, state):
    tracked = tracked_at(0, (1, state, box), size=(960, 540), depth=2.5)
    paint(tracked, tracked)


def test_colours_next_to_each_other_differ():
    colours = np.array(PALETTE, int)
    assert len({*PALETTE}) == len(PALETTE)
    for gap in (1, 2, 3):
        distance = np.abs(colours[gap:] - colours[:-gap]).sum(1)
        assert distance.min() > 60, gap


# ------------------------------------------------------------------ reading


def test_video_comes_back(tmp_path):
    with AnnotatedVideoWriter(tmp_path / 'v.mp4', fps=10) as video:
        for k in range(7):
            video.write(tracked_at(20 * k))
    (sequence,) = open_source(tmp_path / 'v.mp4')
    assert (sequence.name, sequence.fps, sequence.length) == ('v', 10, 7)
    assert (sequence.width, sequence.height) == (640, 360)
    for _ in range(2):
        items = list(sequence)
        assert [item.frame.stamp_ns for item in items] == [k * 100_000_000 for k in range(7)]
        brightness = [int(np.median(item.frame.image)) for item in items]
        np.testing.assert_allclose(brightness, [100 + 20 * k for k in range(7)], atol=4)
    (sequence,) = open_source(tmp_path / 'v.mp4', fps=5)
    assert [item.frame.stamp_ns for item in sequence][2] == 400_000_000


def test_real_video(shared_data, tmp_path, capfd):
    source = shared_data / 'video/vtest/vtest.avi'
    (sequence,) = open_source(source)
    stamps = [item.frame.stamp_ns for item in sequence]
    assert len(stamps) == sequence.length == 795
    assert stamps == [k * 100_000_000 for k in range(795)]
    raw = source.read_bytes()
    cut = tmp_path / 'cut.avi'
    for share in (0, 1e-6, 1e-4):
        cut.write_bytes(raw[: int(len(raw) * share)])
        with pytest.raises(UserError, match=r'not a video that can be decoded|no frame can'):
            open_source(cut)
    cut.write_bytes(raw[: len(raw) // 4])
    (sequence,) = open_source(cut)
    with pytest.raises(UserError, match=r'breaks off at frame \d+ of 795; copy it again'):
        list(sequence)
    assert capfd.readouterr() == ('', '')  # OpenCV and FFmpeg keep quiet


def test_sizes_that_change_are_refused(tmp_path):
    (sequence,) = open_source_of_two_sizes(tmp_path)
    with pytest.raises(UserError, match='replay each size on its own'):
        list(sequence)


def open_source_of_two_sizes(tmp_path):
    for k, side in enumerate((32, 48)):
        cv2.imwrite(str(tmp_path / f'{k}.png'), np.zeros((side, side, 3), np.uint8))
    sequences = open_source(tmp_path, fps=1)
    return [replace(sequences[0], name='two')]
