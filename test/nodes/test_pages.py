"""The pages of the nodes show the table of parameters and topics as it is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'docs'))

from make_nodes import PAGES, TABLE, page, table  # noqa: E402

from mot_perception.runtime.health import Health  # noqa: E402


@pytest.mark.parametrize('task', PAGES)
def test_page_is_current(task):
    assert PAGES[task].read_text('utf-8') == page(task), 'run make docs'


def test_table_of_launch_files_is_current():
    assert TABLE.read_text('utf-8') == table(), 'run make docs'


def test_every_diagnostic_is_explained():
    text = PAGES['track'].read_text('utf-8')
    for name in Health(1.0, {'image': '/image'}).diagnose().values:
        assert f'`{name}`' in text, name


PAGES_OF_ALL = [ROOT / 'README.md', ROOT / 'QUALITY_DECLARATION.md', *(ROOT / 'docs').glob('*.md')]


@pytest.mark.parametrize('path', PAGES_OF_ALL, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    targets = re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', path.read_text('utf-8'))
    local = [it for it in targets if not it.startswith('http')]
    assert [it for it in local if not (path.parent / it).exists()] == []
