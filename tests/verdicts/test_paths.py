from exporter.verdicts.paths import Authorities, has_bad_signature, paths_to
from tests.pki import Issued, Wishes, certificate_of, issue, make_ca, make_leaf, new_key

ROOT = make_ca("root")
MIDDLE = make_ca("middle", issuer=ROOT)
LEAF = make_leaf(MIDDLE, "x.test")
OTHER = make_ca("other")


def path(leaf: Issued, others: list[Issued], anchors: list[Issued]) -> list[str] | None:
    found = paths_to(
        [certificate_of(anchor) for anchor in anchors],
        certificate_of(leaf),
        [Authorities(map(certificate_of, others))],
    )
    return [certificate.subject_cn for certificate in found[0]] if found else None


def test_a_path_is_found_whatever_the_order() -> None:
    assert path(LEAF, [OTHER, MIDDLE], [ROOT]) == ["x.test", "middle", "root"]
    assert path(LEAF, [MIDDLE, OTHER, MIDDLE], [OTHER, ROOT]) == ["x.test", "middle", "root"]


def test_an_anchor_ends_the_path_wherever_it_stands() -> None:
    assert path(LEAF, [MIDDLE], [MIDDLE]) == ["x.test", "middle"]
    assert path(LEAF, [], [LEAF]) == ["x.test"]


def test_there_is_none_without_the_issuer_or_with_a_namesake_of_another_key() -> None:
    assert path(LEAF, [], [ROOT]) is None
    assert path(LEAF, [make_ca("middle", issuer=ROOT)], [ROOT]) is None


def test_a_dead_end_is_left_again() -> None:
    key = new_key()
    wishes = Wishes(common_name="crossed", is_ca=True)
    by_other, by_root = issue(wishes, issuer=OTHER, key=key), issue(wishes, issuer=ROOT, key=key)

    found = path(make_leaf(by_other, "x.test"), [by_other, by_root], [ROOT])

    assert found == ["x.test", "crossed", "root"]


def test_two_cas_that_certify_each_other_are_no_endless_loop() -> None:
    key_a, key_b = new_key(), new_key()
    a, b = Wishes(common_name="a", is_ca=True), Wishes(common_name="b", is_ca=True)
    a_self, b_self = issue(a, key=key_a), issue(b, key=key_b)
    circle = [issue(a, issuer=b_self, key=key_a), issue(b, issuer=a_self, key=key_b)]

    assert path(make_leaf(a_self, "x.test"), circle, [ROOT]) is None


def test_a_hostile_crowd_of_lookalikes_is_given_up_on() -> None:
    key = new_key()
    wishes = Wishes(common_name="same", is_ca=True)
    parent = issue(wishes, key=key)
    crowd = [issue(wishes, issuer=parent, key=key) for _ in range(40)]

    assert path(make_leaf(parent, "x.test"), crowd, [ROOT]) is None


def test_a_crowd_of_one_name_with_other_keys_is_given_up_on() -> None:
    leaf = make_leaf(MIDDLE, "x.test")
    crowd = [make_ca("middle", issuer=ROOT) for _ in range(60)]

    assert path(leaf, [*crowd[:10], MIDDLE], [ROOT]) == ["x.test", "middle", "root"]
    assert path(leaf, [*crowd, MIDDLE], [ROOT]) is None


def test_an_ed25519_issuer_is_told_from_another_one() -> None:
    issuer = make_ca("ed", key=new_key("Ed25519"))
    child = certificate_of(make_leaf(issuer, "x"))

    assert not has_bad_signature(child, certificate_of(issuer))
    assert has_bad_signature(child, certificate_of(make_ca("ed", key=new_key("Ed25519"))))


def test_names_differ_neither_by_case_nor_by_spaces() -> None:
    lower = certificate_of(make_ca("the  root"))
    known = Authorities([lower])

    assert [*known.named("CN=The Root")] == [lower]


def test_authorities_hold_each_certificate_once_and_forget_it() -> None:
    root, middle = certificate_of(ROOT), certificate_of(MIDDLE)
    namesake = certificate_of(make_ca("root"))
    known = Authorities([root, middle, root, namesake])

    for gone in (middle, middle, namesake):
        known.discard(gone)

    assert (len(known), [*known]) == (1, [root])
    assert root in known
    assert middle not in known
    assert object() not in known
    assert [*known.named(middle.subject)] == []
