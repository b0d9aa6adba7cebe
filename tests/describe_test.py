import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from scipy import sparse

from mlc import data as data_lib
from mlc import run_folder
from mlc.data import plots, report, statistics
from mlc.data.labels import Labels
from mlc.errors import InputError

ROOT = pathlib.Path(__file__).parent.parent
PICTURES = ('cooccurrence.png', 'frequency.png', 'cardinality.png')
pytestmark = [
  pytest.mark.filterwarnings('error::UserWarning'),
  pytest.mark.filterwarnings('error::RuntimeWarning'),
]


def dataset(y, names=None, **kwargs):
  """60/20/20 of rows with one feature each."""
  labels = Labels.of(y, names, **kwargs)
  rows = np.arange(labels.num_rows)
  train, valid, test = np.split(
    rows, [len(rows) * 6 // 10, len(rows) * 8 // 10]
  )
  return data_lib.from_arrays(
    rows[:, None].astype(float),
    labels,
    name='a set',
    splits={'train': train, 'valid': valid, 'test': test},
  )


def drawn(num_labels, rows=200, seed=0):
  """Labels that fall from frequent to rare."""
  rng = np.random.default_rng(seed)
  share_L = 0.6 / (1 + np.arange(num_labels)) ** 0.5
  return (rng.random((rows, num_labels)) < share_L).astype(float)


def hidden(y_NxL, share, seed=1):
  rng = np.random.default_rng(seed)
  return np.where(rng.random(y_NxL.shape) < share, np.nan, y_NxL)


def text(described, **kwargs):
  file = io.StringIO()
  report.show(described, file, **kwargs)
  return file.getvalue()


# The pictures.


def test_lift_is_that_of_loops_over_the_rows_where_both_are_observed():
  y_NxL = hidden(drawn(5, rows=60), 0.2)
  labels = Labels.of(y_NxL)
  lift_LxL, expected_LxL = plots.lift(statistics.on(labels), labels.missing_NxL)
  for i in range(5):
    for j in range(5):
      pairs = [(a, b) for a, b in y_NxL[:, [i, j]] if a == a and b == b]
      one = sum(a for a, _ in pairs) / len(pairs)
      other = sum(b for _, b in pairs) / len(pairs)
      both = sum(a * b for a, b in pairs) / len(pairs)
      assert expected_LxL[i, j] == pytest.approx(one * other * len(pairs))
      assert lift_LxL[i, j] == pytest.approx(both / (one * other))


def test_lift_of_a_label_that_is_never_on_is_unknown():
  on_NxL = sparse.csr_array(np.array([[1, 0], [1, 0]]))
  missing_NxL = sparse.csr_array(on_NxL.shape, dtype=bool)
  lift_LxL, expected_LxL = plots.lift(on_NxL, missing_NxL)
  np.testing.assert_array_equal(lift_LxL, [[1, np.nan], [np.nan, np.nan]])
  np.testing.assert_array_equal(expected_LxL, [[2, 0], [0, 0]])


def test_labels_that_occur_together_stand_together():
  block_L = np.repeat(np.arange(4), 5)
  shuffled_L = np.random.default_rng(3).permutation(block_L)
  together_LxL = shuffled_L[:, None] == shuffled_L[None]
  lift_LxL = np.where(together_LxL, 4.0, 0.0)
  order = plots.clustered(lift_LxL)
  assert sorted(order) == list(range(20))
  assert np.count_nonzero(np.diff(shuffled_L[order])) == 3


def test_heat_map_shows_lift_in_its_colours_and_order():
  y_NxL = drawn(6)
  y_NxL[:, 5] = 1 - y_NxL[:, 0]  # Never together, though often on.
  y_NxL[:, 3] = 0
  y_NxL[0, 3] = 1  # On in one row: too few to tell.
  y_NxL[0, 4] = 0
  names = [rf'$\no{c}{{$[x]' for c in 'abcdef']  # No formula that can be read.
  figure = plots.cooccurrence(dataset(y_NxL, names))
  figure.draw_without_rendering()
  axes, bar = figure.axes
  shown = [label.get_text() for label in axes.get_yticklabels()]
  assert sorted(shown) == names
  assert shown == [label.get_text() for label in axes.get_xticklabels()]
  (image,) = axes.get_images()
  values = image.get_array()
  order = [names.index(name) for name in shown]
  for a, i in enumerate(order):
    for b, j in enumerate(order):
      expected = y_NxL[:, i].mean() * y_NxL[:, j].mean()
      together = (y_NxL[:, i] * y_NxL[:, j]).mean()
      if i == j or (together == 0 and expected * len(y_NxL) < 3):
        assert values.mask[a, b]
      else:
        lift = np.clip(together / expected, 1 / 8, 8)
        assert values[a, b] == pytest.approx(lift)
  at = order.index
  assert values[at(0), at(5)] == 1 / 8
  assert values.mask[at(3), at(4)]
  # Independence is in the middle of the colours.
  assert image.norm(1.0) == pytest.approx(0.5)
  assert [tick.get_text() for tick in bar.get_yticklabels()][3] == '1'


def test_heat_map_of_many_labels_names_the_most_frequent():
  y_NxL = drawn(70)
  figure = plots.cooccurrence(dataset(y_NxL))
  axes = figure.axes[0]
  assert 'the 60 most frequent of 70 labels' in axes.get_title(loc='left')
  shown = {int(tick.get_text()[1:]) for tick in axes.get_xticklabels()}
  count_L = y_NxL.sum(0)
  assert len(shown) == 60
  left_out = set(range(70)) - shown
  assert count_L[list(left_out)].max() <= count_L[list(shown)].min()


def test_frequency_curves_are_sorted_shares_of_each_split():
  y_NxL = drawn(8, rows=50)
  y_NxL[30:, 7] = 0
  data = dataset(y_NxL)
  (axes,) = plots.frequency(data).axes
  assert len(axes.lines) == 3
  for line, (split, rows) in zip(axes.lines, data.splits.items(), strict=True):
    share_L = sorted(y_NxL[rows].mean(0), reverse=True)
    present = [share for share in share_L if share]
    np.testing.assert_allclose(line.get_ydata(), present, rtol=1e-6)
    assert list(line.get_xdata()) == list(range(1, len(present) + 1))
    absent = 8 - len(present)
    assert line.get_label() == (
      f'{split}, {absent} absent' if absent else split
    )
  assert axes.lines[1].get_label() != 'valid'


def test_cardinality_bars_are_shares_of_rows():
  y_NxL = drawn(6)
  (axes,) = plots.cardinality(dataset(y_NxL)).axes
  sizes = y_NxL.sum(1)
  for size, bar in enumerate(axes.patches):
    assert bar.get_height() == pytest.approx((sizes == size).mean())
    assert bar.get_x() + bar.get_width() / 2 == pytest.approx(size)
  assert len(axes.patches) == sizes.max() + 1
  assert f'cardinality {sizes.mean():.2f}' in axes.texts[0].get_text()


@pytest.mark.parametrize('num_labels', [2, 6, 20, 70])
@pytest.mark.parametrize('name', ['{}', '{}_a_very_long_name_of_a_label_{}'])
def test_no_word_of_a_picture_is_cut_off(num_labels, name):
  names = [name.format(i, i) for i in range(num_labels)]
  data = dataset(drawn(num_labels), names)
  path = 'a/long/path/to/a/data/set/in/a/folder/below/others/called/set.arff'
  data = dataclasses.replace(data, name=path)
  for draw in (
    plots.cooccurrence,
    plots.frequency,
    plots.cardinality,
  ):
    figure = draw(data)
    figure.draw_without_rendering()
    inked, paper = figure.get_tightbbox(), figure.bbox_inches
    assert inked.x0 >= paper.x0 and inked.x1 <= paper.x1, draw
    assert inked.y0 >= paper.y0 and inked.y1 <= paper.y1, draw
    title = figure.axes[0].get_title(loc='left')
    assert title.splitlines()[0].endswith('called/set.arff')


@pytest.mark.parametrize(
  'y_NxL',
  [np.zeros((10, 3)), np.ones((10, 1)), np.zeros((10, 1)), np.eye(10)],
  ids=['none on', 'one label', 'one label never on', 'one a row'],
)
def test_pictures_and_report_of_labels_without_variety(y_NxL, tmp_path):
  data = dataset(y_NxL)
  paths = plots.write(data, tmp_path / 'made' / 'here')
  assert [path.name for path in paths] == list(PICTURES)
  for path in paths:
    assert path.read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'
  assert 'nan' not in text(statistics.describe(data))


def test_a_picture_that_fails_leaves_the_old_ones(tmp_path):
  data = dataset(drawn(4))
  plots.write(data, tmp_path)
  old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
  for planted in ('cooccurrence', 'frequency', 'cardinality'):
    with (
      mock.patch.object(plots, planted, side_effect=RuntimeError('planted')),
      pytest.raises(RuntimeError, match='planted'),
    ):
      plots.write(dataset(drawn(5)), tmp_path)
    assert old == {p.name: p.read_bytes() for p in tmp_path.iterdir()}
  with mock.patch.object(run_folder, 'atomic_write') as writes:
    plots.write(data, tmp_path)
  assert [call.args[0].name for call in writes.call_args_list] == list(PICTURES)


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path):
  file = tmp_path / 'file'
  file.write_text('mine')
  with pytest.raises(InputError, match=r'file: File exists: give another'):
    plots.write(dataset(drawn(4)), file)
  assert file.read_text() == 'mine'


# The report.


def test_report_tells_what_was_found():
  y_NxL = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
  names = ['[bold]a[/]', 'b', 'c']
  edges = [(0, 1), (1, 2)]
  described = statistics.describe(dataset(y_NxL, names, edges=edges))
  told = text(described)
  assert '\x1b' not in told
  lines = [' '.join(line.split()) for line in told.splitlines()]
  for line in (
    'a set: multi-label, 5 rows, 3 labels',
    'dense 1, 80.00% of their cells not 0',
    'missing cells 0',
    'cardinality 1.2000',
    'density 0.4000',
    'label sets 4 distinct, 0.8000 a row; 3 stand in one row only',
    'diversity 0.5',
    'highest IRLbl b 4.00, c 4.00, [bold]a[/] 1.00',
    'lowest IRLbl [bold]a[/] 1.00',
    'MeanIR 3.0000',
    'CVIR 0.5774',
    'SCUMBLE 0.0800',
    'edges 2',
    'depth 3',
    'several parents 0 labels',
    'Splits train valid test train+valid all',
    'rows 3 1 1 4 5',
    'rows without labels 0 0 1 0 1',
    'labels absent 1 1 3 0 0',
    'absent from test [bold]a[/], b, c',
    'Overlap shared rows shared features leaked rows',
    'train+valid and test 0 0 0',
  ):
    assert line in lines, line


def test_long_lists_are_cut_short_with_their_length():
  told = ' '.join(text(statistics.describe(dataset(np.eye(40)))).split())
  assert ' absent from test y0, y1, y2, y3, y4 and 27 more ' in told


def test_piped_text_is_not_broken_into_lines_and_a_terminal_cuts_nothing():
  names = [f'{i:02}_{"long" * 20}' for i in range(12)]
  described = statistics.describe(dataset(drawn(12), names))
  whole = text(described)
  (line,) = (line for line in whole.splitlines() if 'highest IRLbl' in line)
  assert sum(name in line for name in names) == 5
  for width in (60, 80, 120):
    told = text(described, width=width)
    assert max(map(len, told.splitlines())) <= width
    assert '…' not in told
    assert ''.join(told.split()).count('long') == whole.count('long')


# The command.


def run(*flags, **environment):
  return subprocess.run(
    [sys.executable, '-m', 'experiments.describe', *flags],
    cwd=ROOT,
    env={k: v for k, v in os.environ.items() if k != 'MLC_DATA'} | environment,
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture
def file(tmp_path):
  """Rows that repeat, so that a split's seed tells on what is counted."""
  rng = np.random.default_rng(0)
  head = ['@relation toy', '@attribute x numeric']
  head += [f'@attribute {name} {{0,1}}' for name in 'ab']
  rows = [','.join(map(str, row)) for row in rng.integers(0, 2, (40, 3))]
  path = tmp_path / 'toy.arff'
  path.write_text('\n'.join([*head, '@data', *rows, '']))
  return path


def test_command_prints_json_alone_and_writes_pictures(file, tmp_path):
  folder = tmp_path / 'pictures'
  flags = f'--data={file}', '--labels=last:2', '--seed=3', f'--plot={folder}'
  done = run(*flags, '--json')
  assert done.returncode == 0, done.stderr
  expected = [
    statistics.describe(data_lib.load(file, seed=seed, labels='last:2'))
    for seed in (0, 3)
  ]
  assert json.loads(done.stdout) == expected[1] != expected[0]
  assert sorted(path.name for path in folder.iterdir()) == sorted(PICTURES)


def test_command_names_the_source_and_the_traps_of_a_named_set(
  mlc_data, tmp_path
):
  done = run(
    '--data=mulan/medical', '--json',
    MLC_DATA=str(mlc_data), MLC_CACHE=str(tmp_path),
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  source = json.loads(done.stdout)['catalogue']
  assert source['citation'] == 'Pestian et al., BioNLP 2007'
  assert 'exchanged 18 of the 45 label names' in source['note']


def test_command_prints_a_report_and_where_the_pictures_are(file, tmp_path):
  folder = tmp_path / 'pictures'
  done = run(f'--data={file}', '--labels=last:2', f'--plot={folder}')
  assert done.returncode == 0, done.stderr
  data = data_lib.load(file, labels='last:2')
  paths = [f'{folder / name}\n' for name in PICTURES]
  assert done.stdout == text(statistics.describe(data)) + ''.join(paths)


def test_command_says_in_one_line_what_is_wrong():
  done = run('--data=yest')
  assert done.returncode == 1
  assert done.stdout == ''
  assert done.stderr.startswith('error: ')
  assert len(done.stderr.splitlines()) == 1
