"""Reads the dates that TLS terminators write; None for text that is no such date."""

import re
from datetime import UTC, datetime

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ASN1 = re.compile(r"^(\w{3}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4}) GMT$")
_CLF = re.compile(r"^(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d\d)(\d\d)$")
_UTC_TIME = re.compile(r"^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$")


def asn1_moment(text: str) -> datetime | None:
    """Return the moment of OpenSSL's ASN1_TIME_print: ``Nov  5 12:00:00 2026 GMT``."""
    found = _ASN1.match(text)
    if found is None:
        return None
    month, day, hour, minute, second, year = found.groups()
    return _moment(f"{year}-{_month(month)}-{int(day):02}T{hour}:{minute}:{second}+00:00")


def clf_moment(text: str) -> datetime | None:
    """Return the moment of the common log format: ``24/Nov/2026:03:07:39 +0000``."""
    found = _CLF.match(text)
    if found is None:
        return None
    day, month, year, hour, minute, second, hours, minutes = found.groups()
    return _moment(f"{year}-{_month(month)}-{day}T{hour}:{minute}:{second}{hours}:{minutes}")


def utc_time_moment(text: str) -> datetime | None:
    """Return the moment of an ASN.1 UTCTime, ``YYMMDDhhmmssZ``; years as RFC 5280, 4.1.2.5.1."""
    found = _UTC_TIME.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = found.groups()
    century = "20" if int(year) < 50 else "19"
    return _moment(f"{century}{year}-{month}-{day}T{hour}:{minute}:{second}+00:00")


def _month(name: str) -> str:
    return f"{_MONTHS.index(name) + 1:02}" if name in _MONTHS else "??"


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
