from pathlib import Path

import pytest

from exporter.anchors import (
    Profile,
    WeakCrypto,
    load_trust_store,
    system_trust_store,
    trust_store,
    union,
)
from exporter.errors import CertificateError
from tests.pki import certificate_of, make_ca

OLD, NEW = make_ca("old CA"), make_ca("new CA")
ANCHORS = [certificate_of(OLD), certificate_of(NEW)]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "anchors.pem"
    path.write_bytes(data)
    return path


def test_a_store_holds_each_anchor_of_its_file_once(tmp_path: Path) -> None:
    path = written(tmp_path, OLD.pem + NEW.pem + OLD.pem)

    store = load_trust_store("fw", path, profile=Profile.STRICT, weak_crypto=WeakCrypto.REFUSE)

    assert [anchor.subject_cn for anchor in store.anchors] == ["old CA", "new CA"]
    assert (store.name, store.profile, store.weak_crypto) == ("fw", "strict", "refuse")


def test_the_digest_tells_stores_that_judge_alike() -> None:
    one = trust_store("a", ANCHORS)

    assert trust_store("b", ANCHORS[::-1]).digest == one.digest
    assert trust_store("a", ANCHORS[:1]).digest != one.digest
    assert trust_store("a", ANCHORS, profile=Profile.STRICT).digest != one.digest
    assert trust_store("a", ANCHORS, weak_crypto=WeakCrypto.REFUSE).digest != one.digest


def test_who_holds_two_stores_has_the_anchors_of_both_and_the_strictest_policy() -> None:
    strict = trust_store("a", ANCHORS[:1], profile=Profile.STRICT)
    refusing = trust_store("b", ANCHORS, weak_crypto=WeakCrypto.REFUSE)

    both = union("a+b", [strict, refusing])

    assert both.anchors == tuple(ANCHORS)
    assert (both.profile, both.weak_crypto) == (Profile.STRICT, WeakCrypto.REFUSE)
    assert union("none", []).anchors == ()


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    missing, folder = tmp_path / "missing.pem", tmp_path

    with pytest.raises(CertificateError, match=r"missing\.pem: this file cannot be read: No such"):
        load_trust_store("fw", missing)
    with pytest.raises(CertificateError, match="this file cannot be read: Is a directory"):
        load_trust_store("fw", folder)
    with pytest.raises(CertificateError, match="this file cannot be read: embedded null byte"):
        load_trust_store("fw", Path("a\0b"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", r"anchors\.pem: this file is empty", id="empty"),
        pytest.param(OLD.key_pem, "it holds a private key", id="key"),
        pytest.param(OLD.pem[:-30], "1 certificates begin in it, but 0 end", id="cut"),
        pytest.param(OLD.der, "this looks like DER", id="DER"),
        pytest.param(b"\n" * (8 * 2**20 + 1), "larger than 8388608 bytes", id="huge"),
    ],
)
def test_a_file_that_is_no_trust_store_is_refused(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    with pytest.raises(CertificateError, match=sentence):
        load_trust_store("fw", written(tmp_path, data))


def test_the_systems_store_is_the_one_openssl_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(written(tmp_path, OLD.pem)))

    store = system_trust_store()

    assert store.name == "system"
    assert [anchor.subject_cn for anchor in store.anchors] == ["old CA"]


def test_a_machine_without_a_store_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setattr("exporter.anchors._USUAL_BUNDLES", (str(tmp_path / "neither.pem"),))

    with pytest.raises(CertificateError, match="this machine has no trust store; install"):
        system_trust_store()
