from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mot_perception.bags.depth_labels import (
    LEAST,
    SIDECAR,
    DepthLabels,
    Meaning,
    read_meaning,
    values_of_metres,
    write_label,
    write_meaning,
)
from mot_perception.errors import UserError

SIZE = 6, 8
RNG = np.random.default_rng(3)


def meaning(*, metric=False, low=1.5, high=9.5, **changes):
    scale, shift = Meaning.code_range(low, high)
    near_far = (low, high) if metric else (high, low)
    said = {
        'orientation': 'depth' if metric else 'disparity',
        'metric': metric,
        'scale': scale,
        'shift': shift,
        'nearest': near_far[0],
        'farthest': near_far[1],
        'frames': 3,
        'model': 'net (sha256 01234567)',
        'licence': 'Apache-2.0',
        'software': 'mot_perception 1',
        'recipe': 'r',
        'source': 's',
    }
    return Meaning(**said | changes)


def made(folder, quantity, said, stem='00000001'):
    folder.mkdir(parents=True, exist_ok=True)
    write_label(folder / f'{stem}.png', said.codes(quantity))
    write_meaning(folder, said)
    return DepthLabels(folder)


def released(folder, pixels, stem='00000001'):
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f'{stem}.png'), pixels)
    return DepthLabels(folder)


class TestReleased:
    def test_is_disparity_as_it_stands(self, tmp_path):
        pixels = np.arange(48, dtype=np.uint8).reshape(SIZE)
        pixels[0, 0], pixels[0, 1] = 255, 0
        values = released(tmp_path / 'depth', pixels).read('00000001', *SIZE, 'disparity')
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, pixels)

    def test_as_depth_the_farthest_is_255_and_the_nearest_is_still_known(self, tmp_path):
        pixels = np.array([[0, 1, 254, 255]], np.uint8)
        values = released(tmp_path / 'depth', pixels).read('00000001', 1, 4, 'depth')
        np.testing.assert_array_equal(values, np.float32([[255, 254, 1, LEAST]]))

    def test_sixteen_bits_mean_nothing_without_a_sidecar(self, tmp_path):
        labels = released(tmp_path / 'depth', np.ones(SIZE, np.uint16))
        with pytest.raises(UserError, match=rf'00000001.png: 16 bits, and no {SIDECAR}'):
            labels.read('00000001', *SIZE, 'depth')


class TestOurs:
    @pytest.mark.parametrize('orientation', ['disparity', 'depth'])
    def test_round_trip_without_a_unit(self, tmp_path, orientation):
        quantity = RNG.uniform(1.5, 9.5, SIZE).astype(np.float32)
        quantity[0, :3] = 1.5, 9.5, np.nan
        values = made(tmp_path / 'depth', quantity, meaning()).read('00000001', *SIZE, orientation)
        disparity = 255 * (quantity - 1.5) / 8
        expected = disparity if orientation == 'disparity' else 255 - disparity
        np.testing.assert_allclose(values, expected.clip(LEAST, 255), atol=255 / 4094)
        assert np.isnan(values[0, 2])
        assert np.isnan(values).sum() == 1

    @pytest.mark.parametrize('orientation', ['disparity', 'depth'])
    def test_round_trip_of_metres(self, tmp_path, orientation):
        metres = RNG.uniform(2, 40, SIZE).astype(np.float32)
        metres[0, :2] = 2, 40
        said = meaning(metric=True, low=2, high=40)
        values = made(tmp_path / 'depth', metres, said).read('00000001', *SIZE, orientation)
        expected = 255 * (2 / metres if orientation == 'disparity' else metres / 40)
        np.testing.assert_allclose(values, expected, rtol=3e-3)

    def test_what_is_out_of_range_is_the_end_of_it_and_stays_known(self):
        said = meaning()
        codes = said.codes(np.float32([[-1e9, 1.5, 9.5, 1e9, np.nan, np.inf]]))
        assert codes.tolist() == [[1, 1, 4095, 4095, 0, 0]]
        assert np.isnan(said.values(codes, 'depth')).tolist() == [[False] * 4 + [True] * 2]

    def test_eight_bits_beside_a_sidecar_are_refused(self, tmp_path):
        labels = made(tmp_path / 'depth', np.ones(SIZE, np.float32), meaning())
        cv2.imwrite(str(tmp_path / 'depth' / '00000001.png'), np.ones(SIZE, np.uint8))
        with pytest.raises(UserError, match=r'00000001.png: 8 bits'):
            labels.read('00000001', *SIZE, 'depth')

    def test_says_all_of_itself_again(self, tmp_path):
        write_meaning(tmp_path, meaning())
        assert read_meaning(tmp_path) == meaning()


@given(
    st.lists(st.floats(0.125, 1000, width=32), min_size=2, max_size=20),
    st.floats(0.1, 5),
    st.floats(5, 1000),
)
def test_metres_keep_their_order_and_never_become_unknown(metres, nearest, farthest):
    metres = np.sort(np.float32(metres))
    depth = values_of_metres(metres, 'depth', nearest, farthest)
    disparity = values_of_metres(metres, 'disparity', nearest, farthest)
    assert (np.diff(depth) >= 0).all()
    assert (np.diff(disparity) <= 0).all()
    for values in (depth, disparity):
        assert values.dtype == np.float32
        assert ((values >= np.float32(LEAST)) & (values <= 255)).all()


def test_metres_that_nobody_knows():
    values = values_of_metres(np.float32([[0, -1, np.nan, np.inf, 5]]), 'depth', 1, 10)
    np.testing.assert_array_equal(values, np.float32([[np.nan] * 4 + [127.5]]))


class TestBad:
    def test_no_folder(self, tmp_path):
        with pytest.raises(UserError, match='mot-perception label-depth'):
            DepthLabels(tmp_path / 'depth')

    def test_missing(self, tmp_path):
        labels = released(tmp_path / 'depth', np.ones(SIZE, np.uint8))
        with pytest.raises(UserError, match=r'depth/00000002.png: no such label'):
            labels.read('00000002', *SIZE, 'depth')

    @pytest.mark.parametrize(
        ('asked', 'there'), [('00000001', '000001'), ('000001', '00000001'), ('0012', '12')]
    )
    def test_names_of_other_digits(self, tmp_path, asked, there):
        labels = released(tmp_path / 'depth', np.ones(SIZE, np.uint8), there)
        with pytest.raises(UserError, match=f'expected depth/{asked}.png, found depth/{there}'):
            labels.read(asked, *SIZE, 'depth')

    def test_names_that_are_no_numbers(self, tmp_path):
        labels = released(tmp_path / 'depth', np.ones(SIZE, np.uint8), 'left')
        with pytest.raises(UserError, match=r'right.png: no such label'):
            labels.file('right')

    def test_other_size_than_the_image(self, tmp_path):
        labels = released(tmp_path / 'depth', np.ones(SIZE, np.uint8))
        with pytest.raises(UserError, match=r'00000001.png: label of 8×6 pixels.* has 16×12'):
            labels.read('00000001', 12, 16, 'depth')

    @pytest.mark.parametrize('channels', [3, 4])
    def test_picture_for_people(self, tmp_path, channels):
        labels = released(tmp_path / 'depth', np.ones((*SIZE, channels), np.uint8))
        with pytest.raises(UserError, match=rf'00000001.png: {channels} channels.*--grayscale'):
            labels.read('00000001', *SIZE, 'depth')

    def test_every_cut_and_every_flipped_byte(self, tmp_path):
        pixels = RNG.integers(0, 256, SIZE, np.uint8)
        labels = released(tmp_path / 'depth', pixels)
        file = tmp_path / 'depth' / '00000001.png'
        data = file.read_bytes()
        for size in range(len(data)):
            file.write_bytes(data[:size])
            with pytest.raises(UserError, match=r'00000001\.png'):
                labels.read('00000001', *SIZE, 'depth')
        for place in range(len(data)):
            flipped = bytearray(data)
            flipped[place] ^= 0x10
            file.write_bytes(flipped)
            try:
                values = labels.read('00000001', *SIZE, 'depth')
            except UserError:
                continue
            assert values.shape == SIZE

    @pytest.mark.parametrize(
        'change',
        [
            {'orientation': 'sideways'},
            {'scale': 0},
            {'scale': 1e300},
            {'shift': None},
            {'nearest': 1.0},
            {'metric': True},
            {'version': 2},
            {'frames': 0},
            {'more': 1},
        ],
    )
    def test_sidecar_that_makes_no_sense(self, tmp_path, change):
        said = json.loads(meaning().model_dump_json()) | change
        (tmp_path / SIDECAR).write_text(json.dumps(said))
        with pytest.raises(UserError, match=rf'{SIDECAR}: damaged'):
            DepthLabels(tmp_path)

    @pytest.mark.parametrize(
        'content', [b'', b'{', b'[]', b'\xff\xfe', b'[' * 100_000, b' ' * (2 << 20), b'{"a": NaN}']
    )
    def test_sidecar_that_is_none(self, tmp_path, content):
        (tmp_path / SIDECAR).write_bytes(content)
        with pytest.raises(UserError, match=rf'{SIDECAR}: damaged'):
            DepthLabels(tmp_path)
