"""The radiology reports of the CMC 2007 challenge, in their XML.

Pestian, Brew, Matykiewicz, Hovermale, Johnson, Cohen & Duch, A shared task
involving multi-label classification of clinical free text, BioNLP 2007. They
are the raw text of Mulan's `medical`, where 18 of the 45 label names have come
to stand at each other's columns (786.2, cough, is on in 1 row for 266).
"""

from mlc.data.features import Features
from mlc.data.label_forms import detect
from mlc.data.readers import files
from mlc.data.table import Table
from mlc.errors import InputError

CODES = 'CMC_MAJORITY'
TEXTS = ('CLINICAL_HISTORY', 'IMPRESSION')


def read(path) -> Table:
  """Reads the reports, all in one file, without a split.

  Labels are the ICD-9-CM codes of the challenge, which most of three annotators
  gave (origin CMC_MAJORITY; theirs, COMPANY1 to 3, are left out), sorted as
  text. The text is the clinical history and, from the next line on, the
  impression.

  Raises:
    InputError: what `files.xml` refuses, no reports, one without either text
      or with a code twice, no codes (the test file).
  """
  texts, codes = [], []
  for number, report in enumerate(files.xml(path).iter('doc'), 1):
    words = [
      _text(element)
      for kind in TEXTS
      for element in report.iter('text')
      if element.get('type') == kind
    ]
    found = [
      _text(element)
      for element in report.iter('code')
      if element.get('origin') == CODES
    ]
    if not any(words) or '' in found or len(set(found)) < len(found):
      raise InputError(
        f'{path}: report {number} has no text, or a code that is empty or'
        ' stands twice: get the file again'
      )
    texts.append('\n'.join(words))
    codes.append(found)
  if not any(codes):
    raise InputError(
      f'{path}: no reports with {CODES} codes: give the training file, the test'
      ' reports were published without'
    )
  return Table(
    Features.of(text=texts, where=str(path)), detect(codes, where=str(path))
  )


def _text(element) -> str:
  return (element.text or '').strip()
