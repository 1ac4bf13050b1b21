"""`live` beside a camera that another process plays over real DDS."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from mot_perception.cli import interrupt
from mot_perception.cli import live as live_module
from mot_perception.cli.live import live
from mot_perception.cli.main import main
from mot_perception.errors import UserError

pytest.importorskip('cyclonedds', reason='cyclonedds is not installed')
sys.path.insert(0, str(Path(__file__).parents[1] / 'dds'))
from dds_world import Process, enter_new_domain, peer

CAMERA = '--image', '/camera/image_raw', '--detections', '/boxes'


@pytest.fixture(autouse=True)
def domain(monkeypatch: pytest.MonkeyPatch) -> None:
    enter_new_domain(monkeypatch)


def tracker(*options: str) -> Process:
    return Process('-m', 'mot_perception', 'live', *options)


@pytest.mark.parametrize(
    ('options', 'number'), [([], signal.SIGINT), (['--reliable'], signal.SIGTERM)]
)
def test_images_and_detections_become_tracks(options, number):
    with peer('camera', *options) as camera, tracker(*CAMERA, *options) as ours:
        found = [camera.finding()]
        while len(found[-1]['ids']) < 2:
            found.append(camera.finding())
        found += [camera.finding() for _ in range(10)]
        assert ours.stop(number) == 0
        assert 'Traceback' not in ours.errors
    last = found[-1]
    assert last['frame_id'] == 'camera_optical_frame'
    assert last['size'] == [64, 48]
    assert last['names'] == ['person']
    assert last['age'] < 5  # the stamp is the image's
    assert [it['frame'] for it in found] == sorted({it['frame'] for it in found})
    assert {tuple(sorted(it['ids'])) for it in found[-10:]} == {tuple(sorted(last['ids']))}
    assert all(y == pytest.approx(24, abs=2) for _, y in last['centres'])


def test_a_stop_that_comes_twice_is_as_good_as_one():
    with tracker(*CAMERA) as ours:
        ours.line('Ctrl-C ends it', stream='stderr')
        ours.send(signal.SIGINT)
        assert ours.stop(signal.SIGINT) == 0
        assert 'Traceback' not in ours.errors


def test_a_stop_that_a_library_swallowed_is_obeyed(monkeypatch):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(interrupt, '_asked', True)
    try:
        live(image='/camera/image_raw', quiet=True)  # returns
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_damaged_images_are_survived():
    broken = 'garbage', 'rt/camera/image_raw', 'sensor_msgs.msg.dds_.Image_'
    with tracker(*CAMERA) as ours, peer(*broken):
        ours.line('that are no ROS message', stream='stderr')
        with peer('camera') as camera:
            while len(camera.finding()['ids']) < 2:
                pass
        assert ours.stop(signal.SIGTERM) == 0
        assert 'Traceback' not in ours.errors


def test_a_wrong_name_is_met_with_the_right_one():
    with peer('camera'), tracker('--image', '/camera/image', '--seconds', '4') as ours:
        ours.line('Image is published on /camera/image_raw', stream='stderr')
        assert ours.wait() == 2
    assert ours.errors.count('error: no frame could be tracked; /camera/image: ') == 1


def test_a_publisher_that_cannot_be_heard_is_named():
    with peer('camera'), tracker(*CAMERA, '--reliable') as ours:
        said = 'warning: /camera/image_raw: a publisher is not heard, for it offers less reliab'
        ours.line(said, stream='stderr')
        ours.line('its publisher is best effort', stream='stderr')


def test_without_cyclonedds_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(live_module, 'find_spec', lambda name: None)
    assert main(['live']) == 2
    assert "pip install 'mot_perception[live]'" in capsys.readouterr().err


def test_fdta_takes_no_detections(tmp_path):
    file = tmp_path / 'fdta.yaml'
    file.write_text('{method: fdta, fdta: {model: a.pth}}')
    with pytest.raises(UserError, match=r"with these topics: method 'fdta' finds objects itself"):
        live(detections='/boxes', config=str(file), quiet=True)


def test_one_topic_cannot_serve_two_cameras(tmp_path, monkeypatch):
    file = tmp_path / 'two.yaml'
    file.write_text('stream: {cameras: [front, rear]}\ndetector: {backend: topic}\n')
    with pytest.raises(UserError, match=r'/image_raw: one topic for 2 cameras; write /\{camera\}'):
        live(image='/image_raw', config=str(file), quiet=True)
    with tracker('--image', '/{camera}/image_raw', '-c', str(file)) as ours:
        line = ours.line('listening to', stream='stderr')
    assert '/front/image_raw, /front/detections' in line
    assert '/rear/camera_info' in line


def test_transports_are_recognised_by_their_names():
    given = ['--image', '/c/image/compressed', '--depth', '/c/depth/compressedDepth']
    with tracker(*given) as ours:
        line = ours.line('listening to', stream='stderr')
    assert '/c/image/compressed, /c/depth/compressedDepth, /c/camera_info' in line


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--node-name', 'a b'], 'node name'),
        (['--namespace', 'robot'], 'namespace'),
        (['--image', 'a b'], "topic 'a b'"),
        (['--domain', '300'], '0 to 232'),
    ],
)
def test_wrong_options_are_one_line(options, said, capsys):
    assert main(['live', '--quiet', *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count('\n') == 1
