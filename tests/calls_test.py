"""Calls in a config: any text is a name with options, or refused."""

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from reading import no_hang

from mlc import calls
from mlc.errors import InputError


@pytest.mark.parametrize(
  'text, name, options',
  [
    ('exact', 'exact', {}),
    ('exact()', 'exact', {}),
    ('beam(width=16)', 'beam', {'width': 16}),
    ('a( b=-1.5, c="x, (y)", )', 'a', {'b': -1.5, 'c': 'x, (y)'}),
    ("a(b=(1, [2]), c={'d': None})", 'a', {'b': (1, [2]), 'c': {'d': None}}),
  ],
)
def test_a_call_is_a_name_and_its_options(text, name, options):
  assert calls.parse(text, 'world') == (name, options)


@pytest.mark.parametrize(
  'text',
  [
    'a(1)', 'a(*[1])', 'a(**{"b": 1})', 'a(b=c)', 'a(b=1', 'a(b=1))', 'a(',
    'a(b=1, b=2)', 'a(b=1)(c=2)', 'a(b=1).c(d=2)', 'a(b=1) + f(c=2)',
    'a(b={[]: 1})', 'a(b={{}})', 'a(b=1 + 1)', 'a(b=open("x"))', 'a(b=\0)',
    'a(b=\ud83d)', 'a(b=' + '(' * 10000, 'a(b=' + '-' * 10000 + '1)',
    'a(b=' + '[' * 500 + ']' * 500 + ')', 'a(b=' + '9' * 10000 + ')',
    'a(b=1' + ' - 1' * 10000 + ')', 'a(b=1)\nimport os',
  ],
)  # fmt: skip
def test_what_is_no_call_is_refused_in_one_line(text):
  with pytest.raises(InputError, match='^world .* as in beam') as caught:
    calls.parse(text, 'world')
  assert len(str(caught.value).splitlines()) == 1
  assert len(str(caught.value)) < 400


PIECES = [
  *('a', 'b=', '(', ')', ',', '1', '-', '[', ']', '{', '}', ':', '*', '**'),
  *('"', '.', '=', ' ', '\n', '\\', '#', 'lambda', 'None', 'f', '\0', "b''"),
]


@settings(deadline=None, derandomize=True, max_examples=500)
@given(
  st.one_of(
    st.text(st.characters()),
    st.lists(st.sampled_from(PIECES)).map(''.join),
    st.lists(st.sampled_from(PIECES)).map(lambda p: f'a(b={"".join(p)})'),
  )
)
def test_any_text_is_a_name_with_options_or_refused(text):
  with no_hang():
    try:
      name, options = calls.parse(text, 'world')
    except InputError as error:
      assert len(str(error).splitlines()) == 1
      return
  assert text.startswith(name) and isinstance(options, dict)
  assert all(key.isidentifier() and key in text for key in options)
