"""A chain as a tree: each certificate below the one that issued it; pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.certificates import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A certificate with those it issued.

    Attributes:
        position: As it was sent; 0 is the leaf.
    """

    position: int
    certificate: Certificate
    children: tuple["Branch", ...]


def tree_of(chain: Sequence[Certificate]) -> tuple[Branch, ...]:
    """Return the trees of ``chain``, every certificate once; issuers are found by their names."""
    placed: set[int] = set()

    def grown(position: int) -> Branch:
        placed.add(position)
        # One after the other: what a sibling has taken is not free any more
        children = tuple(grown(child) for child in _issued_by(chain, position, placed))
        return Branch(position=position, certificate=chain[position], children=children)

    tops = [position for position in range(len(chain)) if _issuer_in(chain, position) is None]
    # Two that signed each other have no top; every certificate is shown all the same
    order = [*tops, *range(len(chain))]
    return tuple(grown(position) for position in order if position not in placed)


def _issuer_in(chain: Sequence[Certificate], position: int) -> int | None:
    certificate = chain[position]
    if certificate.issuer == certificate.subject:
        return None
    names = [other.subject for other in chain]
    return names.index(certificate.issuer) if certificate.issuer in names else None


def _issued_by(chain: Sequence[Certificate], position: int, placed: set[int]) -> Iterator[int]:
    for child in range(len(chain)):
        if _issuer_in(chain, child) == position and child not in placed:
            yield child
