from __future__ import annotations

from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from mot_perception.runtime.mailbox import Mailbox


def drained(mailbox: Mailbox[int], count: int) -> list[tuple[str, int, int]]:
    return [mailbox.take() for _ in range(count)]


def test_the_newest_wins_and_the_others_are_counted():
    mailbox = Mailbox[int](['a'])
    for letter in range(5):
        mailbox.put('a', letter)
    assert mailbox.take() == ('a', 4, 4)
    mailbox.put('a', 5)
    assert mailbox.take() == ('a', 5, 0)  # drops are told once


def test_cameras_take_turns():
    mailbox = Mailbox[int](['a', 'b', 'c'], capacity=2)
    for letter in (1, 2):
        mailbox.put('a', letter)
        mailbox.put('c', 10 * letter)
    assert drained(mailbox, 4) == [('a', 1, 0), ('c', 10, 0), ('a', 2, 0), ('c', 20, 0)]


@given(st.lists(st.sampled_from('ab')), st.integers(1, 5))
def test_nothing_is_lost_without_being_counted(posts, capacity):
    mailbox = Mailbox[int]('ab', capacity)
    for number, camera in enumerate(posts):
        mailbox.put(camera, number)
    waiting = sum(min(posts.count(camera), capacity) for camera in 'ab')
    letters = drained(mailbox, waiting)
    assert len(letters) + sum(dropped for _, _, dropped in letters) == len(posts)
    for camera in 'ab':  # the newest ones, in order
        mine = [number for number, owner in enumerate(posts) if owner == camera]
        assert [letter for owner, letter, _ in letters if owner == camera] == mine[-capacity:]


def test_closing_sends_home_who_waits():
    mailbox = Mailbox[int](['a'])
    answers = []
    thread = Thread(target=lambda: answers.append(mailbox.take()))
    thread.start()
    mailbox.close()
    thread.join(5)
    assert answers == [None]


def test_what_is_cleared_does_not_count_as_dropped():
    mailbox = Mailbox[int](['a'])
    mailbox.put('a', 1)
    mailbox.put('a', 2)
    mailbox.clear()
    mailbox.put('a', 3)
    assert mailbox.take() == ('a', 3, 0)
