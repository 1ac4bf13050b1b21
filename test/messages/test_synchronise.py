from __future__ import annotations

import weakref

from hypothesis import given
from hypothesis import strategies as st

from mot_perception.messages.synchronise import Stamped, Synchroniser, synchronise

MS = 1_000_000


def stamped(role: str, stamp_ms: float, log_ms: float | None = None) -> Stamped:
    log = stamp_ms if log_ms is None else log_ms
    return Stamped(role, int(stamp_ms * MS), int(log * MS), b'')


def frames(messages, companions=('depth',), slop_ms=15):
    found = synchronise(messages, 'image', companions, slop_ms * MS)
    return [{role: it.stamp_ns // MS for role, it in frame.items()} for frame in found]


def test_nearest_within_the_slop():
    messages = [
        stamped('image', 0),
        stamped('depth', 10),
        stamped('image', 33),
        stamped('depth', 59),
        stamped('image', 66),
        stamped('depth', 70),
    ]
    assert frames(messages) == [
        {'image': 0, 'depth': 10},
        {'image': 33},
        {'image': 66, 'depth': 70},
    ]


def test_a_slow_detector_is_waited_for():
    """Images come on time, boxes 200 ms later: each image gets its own."""
    images = [stamped('image', t) for t in range(0, 1000, 33)]
    boxes = [stamped('boxes', t, t + 200) for t in range(0, 1000, 33)]
    found = frames(sorted(images + boxes, key=lambda it: it.log_ns), companions=['boxes'])
    assert found == [{'image': t, 'boxes': t} for t in range(0, 1000, 33)]


def test_a_looped_recording_is_matched_after_the_jump():
    once = [stamped(role, t) for t in range(0, 3000, 100) for role in ('image', 'depth')]
    again = [stamped(it.role, it.stamp_ns // MS, it.log_ns // MS + 3000) for it in once]
    # After the jump depth comes late: what is left from before must not stand in for it.
    late = sorted(
        [stamped(it.role, it.stamp_ns // MS, it.log_ns // MS + 40 * (it.role == 'depth'))
         for it in again],
        key=lambda it: it.log_ns,
    )  # fmt: skip
    found = frames(once + late)
    assert len(found) == 60
    assert all(frame['image'] == frame.get('depth') for frame in found)


def test_a_silent_companion_is_not_waited_for():
    synchroniser = Synchroniser('image', ['depth'], 15 * MS, stale_ns=2_000 * MS)
    given_out = []
    for t in range(0, 6000, 100):
        given_out += [(t, *frame) for frame in synchroniser.push(stamped('image', t))]
    waited = [t for t, _ in given_out]
    assert waited[0] > 1000  # at first depth may come yet
    assert waited[-20:] == list(range(4000, 6000, 100))  # then each image goes at once


def test_waiting_is_bounded():
    synchroniser = Synchroniser('image', ['depth'], 0, most_waiting=4)
    out = [frame for t in range(100) for frame in synchroniser.push(stamped('image', t))]
    assert len(out) == 96
    assert len(list(synchroniser.flush())) == 4


def test_companions_without_frames_do_not_fill_the_memory():
    class Picture(bytearray):
        """Bytes whose life can be watched."""

    synchroniser = Synchroniser('image', ['depth'], 15 * MS, lateness_ns=500 * MS)
    pictures = []
    for t in range(0, 3000, 50):
        picture = Picture()
        pictures.append(weakref.ref(picture))
        assert not list(synchroniser.push(Stamped('depth', t * MS, t * MS, picture)))
    del picture
    assert sum(it() is not None for it in pictures) == 21  # those of the last second


@given(
    st.lists(st.tuples(st.sampled_from(['image', 'depth']), st.integers(-500, 5000)), max_size=40)
)
def test_every_image_comes_out_once_in_order(arrivals):
    messages = [stamped(role, stamp, log) for log, (role, stamp) in enumerate(arrivals)]
    found = frames(messages)
    assert [frame['image'] for frame in found] == [t for role, t in arrivals if role == 'image']
    depths = [frame['depth'] for frame in found if 'depth' in frame]
    assert len(depths) <= sum(role == 'depth' for role, _ in arrivals)
    assert all(abs(f['image'] - f['depth']) <= 15 for f in found if 'depth' in f)
