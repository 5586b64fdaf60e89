"""One gzip stream put together from pieces that were compressed before, at other times.

Members could be put one after the other (RFC 1952, 2.2), but curl, browsers and older HTTP
clients read the first only. So the pieces are deflate data without an end, each closed by a full
flush: byte-aligned, and pointing back to nothing before it (RFC 1951, 3.2.4; zlib manual,
``Z_FULL_FLUSH``). Joined and ended, they are one ordinary member for any reader.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

# RFC 1952, 2.3: deflate, no flags, no time, no extra flags, operating system unknown
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"  # RFC 1951, 3.2.3: final, fixed codes, empty
_POLYNOMIAL = 0xEDB88320  # CRC-32, reflected; x^0 is the highest bit
_ONE = 1 << 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a gzip stream.

    Attributes:
        data: Deflate blocks, closed by a full flush.
        crc: CRC-32 of the plain bytes.
        length: Of the plain bytes.
        shift: x to the power of eight times ``length``, modulo the CRC's polynomial.
    """

    data: bytes
    crc: int
    length: int
    shift: int


def compress(plain: bytes, level: int) -> Piece:
    """Return ``plain`` as a piece; releases the interpreter's lock while it works."""
    squeezer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = squeezer.compress(plain) + squeezer.flush(zlib.Z_FULL_FLUSH)
    return Piece(
        data=data, crc=zlib.crc32(plain), length=len(plain), shift=_power_of_x(8 * len(plain))
    )


def stream(pieces: Iterable[Piece]) -> list[bytes]:
    """Return the whole gzip file, in chunks."""
    chunks = [_HEAD]
    crc = length = 0
    for piece in pieces:
        chunks.append(piece.data)
        # the CRC of a joined text, as zlib's crc32_combine: crc(ab) = crc(a) * x^(8 |b|) + crc(b)
        crc = _multiply(piece.shift, crc) ^ piece.crc
        length += piece.length
    tail = crc.to_bytes(4, "little") + (length & 0xFFFF_FFFF).to_bytes(4, "little")
    return [*chunks, _LAST_BLOCK + tail]


def _multiply(first: int, second: int) -> int:
    """Return the product of two polynomials over GF(2), modulo the CRC's."""
    product = 0
    bit = _ONE
    while first:
        if first & bit:
            product ^= second
            first ^= bit
        bit >>= 1
        second = (second >> 1) ^ _POLYNOMIAL if second & 1 else second >> 1
    return product


def _squares() -> tuple[int, ...]:
    power = _ONE >> 1  # x
    powers = []
    for _ in range(64):
        powers.append(power)
        power = _multiply(power, power)
    return tuple(powers)


_SQUARES = _squares()
"""x^1, x^2, x^4, x^8 ..."""


def _power_of_x(exponent: int) -> int:
    power = _ONE
    for place in range(exponent.bit_length()):
        if exponent >> place & 1:
            power = _multiply(_SQUARES[place], power)
    return power
