"""Names that an operator gives: of targets, trust stores, APIs."""

from typing import Annotated

from pydantic import AfterValidator

from exporter.wording import shown


def parse_name(text: str) -> str:
    """Return ``text`` when it is fit for labels, logs and URLs.

    Raises:
        ValueError: with a sentence.
    """
    if not text or len(text) > 200 or not text.isprintable() or text != text.strip():
        raise ValueError(
            f"{shown(text)} is not a name; write 1 to 200 printable characters,"
            " no spaces at the ends"
        )
    return text


Name = Annotated[str, AfterValidator(parse_name)]
"""A name that is fit for labels, logs and URLs."""
