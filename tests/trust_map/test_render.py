"""The map as text, drawing and page: complete, escaped, and without anything from elsewhere."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from exporter.trust_map import sentences as say
from exporter.trust_map.html import as_html
from exporter.trust_map.model import (
    Authority,
    Carried,
    DeviceClass,
    Effect,
    Gateway,
    Kind,
    Loss,
    Names,
    Trust,
    TrustMap,
    names,
)
from exporter.trust_map.svg import MOST_DRAWN, as_svg
from exporter.trust_map.text import as_text
from tests.trust_map.scene import NOW, typical

HOSTILE = "</title><script>alert(1)</script>\x1b[2J\u202e\ud800&\"'"
SVG = "{http://www.w3.org/2000/svg}"


def hostile() -> TrustMap:
    """What another service, or a certificate, may say."""
    hidden = Names(count=1, first=(HOSTILE,))
    effect = Effect(
        dark_count=1, gateways=hidden, losses=(Loss(device_class=HOSTILE, dark=hidden),)
    )
    return TrustMap(
        at=NOW,
        classes=(DeviceClass(name=HOSTILE, device_count=1, unknown=hidden),),
        gateways=(
            Gateway(
                name=HOSTILE, subject=HOSTILE, issuer=HOSTILE, not_after=NOW, leads_to=("ab",)
            ),
        ),
        authorities=(
            Authority(
                fingerprint="ab",
                kind=Kind.ROOT,
                subject=HOSTILE,
                issuer=HOSTILE,
                not_before=NOW,
                not_after=NOW,
                stores=(HOSTILE,),
                trusted_by=(
                    Trust(
                        device_class=HOSTILE,
                        reported_count=1,
                        inventory_count=0,
                        device_count=1,
                    ),
                ),
                carries=Carried(gateways=hidden),
                if_removed=effect,
                if_expired=effect,
            ),
        ),
    )


def drawn(told: TrustMap) -> ElementTree.Element:
    return ElementTree.fromstring(as_svg(told))  # noqa: S314 - our own drawing


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_text_says_who_trusts_what_carries_and_goes_dark() -> None:
    told = as_text(typical().map())

    for line in (
        "  camera: 1 device (1 unknown)",
        "    nobody can say what they trust: lost-01",
        "  gw-3: what it serves is not known now; accepted by 0 devices, refused by 0,"
        " unknown of 0",
        "    leads to CN=old CA, CN=old sub CA",
        "    trusted by   meter: 6 of 6 (by the inventory), since when is not known,"
        " until 2027-12-31",
        "                 sensor: 12 of 12 (9 reported, 3 by the inventory), since 2026-01-28,"
        " until 2027-12-31",
        "    if removed   18 devices go dark (behind gw-1)",
        "    if expired   the same",
        "    signed by    CN=old CA",
    ):
        assert f"{line}\n" in told


def test_an_empty_map_says_so() -> None:
    told = as_text(TrustMap(at=NOW))

    assert told.count("  there are none\n") == 3
    assert "there are none" in as_html(TrustMap(at=NOW))
    assert drawn(TrustMap(at=NOW)).tag == f"{SVG}svg"


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (-3, "(EXPIRED 3 days ago)"),
        (1, "(24 hours left)"),
        (29, "(29 days left)"),
    ],
)
def test_the_end_is_told_with_what_is_left(days: int, words: str) -> None:
    one = Authority(
        fingerprint="ab",
        kind=Kind.ROOT,
        not_before=NOW - timedelta(days=99),
        not_after=NOW + timedelta(days=days),
    )

    assert say.validity(one, NOW).endswith(words)


def test_what_begins_later_is_not_valid_yet() -> None:
    later = NOW + timedelta(days=1)
    one = Authority(fingerprint="ab", kind=Kind.ROOT, not_before=later, not_after=later)

    assert say.validity(one, NOW).endswith("(not yet)")


def test_a_hash_has_no_dates() -> None:
    one = Authority(fingerprint="ab" * 32, kind=Kind.HASH_ONLY)

    assert say.validity(one, NOW) == "not known"
    assert say.title(one) == "unknown CA abababababab"
    assert "certificate" not in as_text(TrustMap(at=NOW, authorities=(one,)))


@pytest.mark.parametrize(
    ("effect", "sentence"),
    [
        (Effect(), "no device goes dark"),
        (
            Effect(dark_count=1, gateways=names({"gw-1"})),
            "1 device goes dark (behind gw-1)",
        ),
        (
            Effect(dark_count=1_200, unknown_count=3, gateways=names({"a", "b"})),
            "1,200 devices go dark, of 3 it cannot be said (behind a, b)",
        ),
        (
            Effect(unknown_count=2, gateways=names({"a"})),
            "of 2 it cannot be said (behind a)",
        ),
    ],
)
def test_who_goes_dark_is_a_sentence(effect: Effect, sentence: str) -> None:
    assert say.effect(effect) == sentence


def test_of_many_names_some_are_shown() -> None:
    assert say.some(names({f"d{n}" for n in range(9)})) == "d0, d1, d2, d3, d4, d5 and 3 more"


def test_the_drawing_is_well_formed_and_says_in_words_what_colours_say() -> None:
    root = drawn(typical().map())

    texts = [element.text for element in root.iter(f"{SVG}text")]
    for words in (
        "CN=old CA",
        "if removed: 18 devices go dark",
        "what it serves is unknown",
        "1 of them: trust unknown",
        "12 of 12",
    ):
        assert words in texts
    dashed = [one for one in root.iter(f"{SVG}path") if one.get("stroke-dasharray")]
    assert len(dashed) == 1


def test_the_drawing_uses_nothing_but_shapes_and_text() -> None:
    for told in (typical().map(), hostile()):
        root = drawn(told)

        used = {element.tag.removeprefix(SVG) for element in root.iter()}
        assert used <= {"svg", "title", "desc", "rect", "text", "path", "g"}
        attributes = {name for element in root.iter() for name in element.attrib}
        assert not {name for name in attributes if name.startswith("on") or "href" in name}


def test_texts_stay_inside_their_boxes() -> None:
    long = TrustMap(at=NOW, classes=(DeviceClass(name="x" * 200, device_count=1),))

    (title,) = [
        one.text or ""
        for one in drawn(long).iter(f"{SVG}text")
        if (one.text or "").startswith("xxx")
    ]

    assert len(title) < 40
    assert title.endswith("…")


def test_of_a_large_fleet_some_is_drawn_and_the_rest_counted() -> None:
    many = TrustMap(
        at=NOW,
        gateways=tuple(Gateway(name=f"gw-{n}") for n in range(500)),
        authorities=tuple(
            Authority(fingerprint=f"{n:064x}", kind=Kind.ROOT, stores=("fw",)) for n in range(150)
        ),
        left_out_count=7,
    )

    drawing = as_svg(many)

    assert drawing.count("<g>") == 2 * MOST_DRAWN
    assert "Not drawn: 117 further CAs." in drawing
    assert f"Not drawn: {500 - MOST_DRAWN} further gateways." in drawing


def test_nothing_that_is_told_becomes_markup() -> None:
    page = Page(as_html(hostile()))

    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in as_svg(hostile())


def test_the_page_fetches_nothing_and_forbids_it() -> None:
    page = Page(as_html(typical().map()))

    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "img", "iframe", "base", "form", "object"}
        assert not attributes.keys() & {"src", "href", "srcset", "style"}
    assert (
        re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", as_html(hostile())) is None
    )
    (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


def test_what_carries_and_what_cannot_be_said_is_told_in_every_form() -> None:
    hidden = names({"cam-1"})
    one = Authority(
        fingerprint="ab" * 32,
        kind=Kind.BRIDGE,
        subject="CN=bridge",
        not_before=NOW,
        not_after=NOW + timedelta(days=10),
        trusted_by=(
            Trust(device_class="undrawn", reported_count=1, inventory_count=0, device_count=1),
        ),
        carries=Carried(devices=hidden, client_certificates=hidden),
        if_expired=Effect(
            unknown_count=1,
            gateways=names({"gw-1"}),
            losses=(Loss(device_class="cam", unknown=hidden),),
        ),
    )
    told = TrustMap(
        at=NOW,
        gateways=(
            Gateway(
                name="gw-1",
                issuer="CN=nobody",
                not_after=NOW,
                leads_to=("cd" * 32,),
                refused_count=1,
            ),
        ),
        authorities=(one,),
        left_out_count=3,
    )

    text, drawing, page = as_text(told), as_svg(told), as_html(told)

    assert "    carries      1 listening device: cam-1\n" in text
    assert "                 client certificates of 1 device: cam-1\n" in text
    assert "                 cam 1 unknown: cam-1\n" in text
    assert "  gw-1: serves (no subject) by CN=nobody" in text
    assert "    leads to no CA that is known here\n" in text
    assert text.endswith("  and 3 more on which nothing hangs\n")
    assert "no device goes dark, 1 unknown" in drawing
    assert "signs client certificates of 1" in drawing
    assert "And 3 more CAs" in page


def test_bars_tell_good_from_near_over_and_unknown() -> None:
    def bars(told: TrustMap) -> list[str | None]:
        root = drawn(told)
        return [one.get("fill") for one in root.iter(f"{SVG}rect") if one.get("width") == "6"]

    def ca(days: int) -> Authority:
        return Authority(
            fingerprint="ab" * 32,
            kind=Kind.ROOT,
            stores=("fw",),
            not_before=NOW - timedelta(days=99),
            not_after=NOW + timedelta(days=days),
        )

    def gateway(accepted: int, refused: int, unknown: int) -> Gateway:
        return Gateway(
            name="gw",
            subject="CN=gw",
            not_after=NOW,
            leads_to=("ab",),
            accepted_count=accepted,
            refused_count=refused,
            unknown_count=unknown,
        )

    green, orange, red, grey = (
        bars(TrustMap(at=NOW, authorities=(one,)))[0]
        for one in (
            ca(90),
            ca(29),
            ca(-1),
            Authority(fingerprint="cd" * 32, kind=Kind.HASH_ONLY, stores=("fw",)),
        )
    )
    assert len({green, orange, red, grey}) == 4
    said = {
        (1, 0, 0): green,
        (0, 0, 0): grey,
        (1, 0, 1): grey,
        (5, 1, 0): red,
    }
    for counts, colour in said.items():
        assert bars(TrustMap(at=NOW, gateways=(gateway(*counts),))) == [colour]
    assert bars(TrustMap(at=NOW, gateways=(Gateway(name="gw"),))) == [grey]


def test_a_gateway_that_leads_nowhere_says_so_in_the_drawing() -> None:
    lost = Gateway(name="gw", subject="CN=gw", issuer="CN=new CA", not_after=NOW, refused_count=18)

    assert "leads to no CA known here" in as_svg(TrustMap(at=NOW, gateways=(lost,)))
