"""Label values of the exposition formats: escaped, and harmless whatever they hold."""

import re

CERTIFICATE_TEXT_LIMIT = 128
"""Characters kept of a text that comes from a certificate."""

# A NUL ends Prometheus's text parser in the middle of a value, and with it the whole scrape; a
# lone surrogate has no UTF-8. Neither they nor their like ever tell an operator anything.
_UNPRINTABLE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def label_value(text: str) -> str:
    """Return ``text`` as it stands between the quotes of a label; the same object when plain.

    Control characters (but the line feed, which has an escape) become U+FFFD, so two different
    texts may give the same value: who renders names must drop the second.
    """
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return _UNPRINTABLE.sub("\ufffd", text).translate(_ESCAPES)


def certificate_text(text: str) -> str:
    """Return a text of a certificate as a label value: cut, then escaped."""
    return label_value(text[:CERTIFICATE_TEXT_LIMIT])
