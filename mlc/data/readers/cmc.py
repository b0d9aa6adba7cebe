"""The radiology reports of the CMC 2007 challenge, in their XML.

Pestian, Brew, Matykiewicz, Hovermale, Johnson, Cohen & Duch, A shared task
involving multi-label classification of clinical free text, BioNLP 2007. They
are the raw text of Mulan's `medical`.
"""

from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree

from mlc.data.features import Features
from mlc.data.labels import detect
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
    InputError: no such file, not XML, a DTD or entities in it, no reports, one
      without either text or with a code twice, no codes (the test file).
  """
  texts, codes = [], []
  for number, report in enumerate(_tree(path).iter('doc'), 1):
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


def _tree(path):
  try:
    return ElementTree.parse(path, forbid_dtd=True)
  except ParseError as error:
    line, column = error.position
    reason = str(error).partition(':')[0]
    raise InputError(
      f'{path}:{line}:{column + 1}: not XML ({reason}): get the file again'
    ) from None
  except OSError as error:
    raise InputError(
      f'{path}: not readable ({error.strerror}): check the path'
    ) from None
  # DTD and entities (DefusedXmlException), encodings that there are not.
  except (ValueError, LookupError) as error:
    reason = ' '.join(str(error).split())
    raise InputError(
      f'{path}: refused ({reason}): remove DTD and entities, save it as UTF-8'
    ) from None


def _text(element) -> str:
  return (element.text or '').strip()
