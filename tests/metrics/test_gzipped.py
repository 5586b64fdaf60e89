import gzip
import io
import zlib

from hypothesis import given
from hypothesis import strategies as st

from exporter.metrics.gzipped import compress, stream


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 9))
def test_joined_pieces_are_the_joined_text(parts: list[bytes], level: int) -> None:
    data = b"".join(stream(compress(part, level) for part in parts))

    assert gzip.decompress(data) == b"".join(parts)
    assert gzip.GzipFile(fileobj=io.BytesIO(data)).read() == b"".join(parts)


def test_it_is_one_member_for_readers_that_read_no_more() -> None:
    parts = [b"abc" * 30_000, b"", b"def" * 50_000]

    # what curl, browsers and older clients do: one member, anything behind it is not looked at
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    plain = reader.decompress(b"".join(stream(compress(part, 6) for part in parts)))

    assert plain == b"".join(parts)
    assert reader.eof
    assert reader.unused_data == b""


def test_pieces_can_be_joined_in_any_order_again_and_again() -> None:
    first, second = compress(b"first " * 1000, 1), compress(b"second " * 1000, 9)

    for pieces in ([first, second], [second, first, first], []):
        plain = gzip.decompress(b"".join(stream(pieces)))
        assert len(plain) == sum(piece.length for piece in pieces)
