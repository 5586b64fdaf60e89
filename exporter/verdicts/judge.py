"""Judges one chain against one trust store at one moment; pure but for a cache of stores.

OpenSSL decides ``verified`` on the chain as it was sent. It stops at its first error, so all the
other reasons come from asking it again with one rule less, and from checks of our own.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exporter.anchors import Profile, TrustStore, WeakCrypto
from exporter.certificates import Certificate, names_of
from exporter.observations import Reason, WarningReason, in_order
from exporter.verdicts.errors import (
    PURPOSE_ERROR,
    STRICT_ERRORS,
    TIME_ERRORS,
    TRUST_ERRORS,
    reason_of,
)
from exporter.verdicts.form import faults_of_form
from exporter.verdicts.model import Verdict
from exporter.verdicts.openssl import (
    Answer,
    Chain,
    Rules,
    StoreCache,
    is_named,
    verify,
    words_of,
)
from exporter.verdicts.paths import find_path, is_issued_by
from exporter.verdicts.weak import weaknesses_of

_SECOND = timedelta(seconds=1)
_STORES = StoreCache()


@dataclass(slots=True)
class _Findings:
    """Reasons as they are found, each with the sentence about its first occurrence."""

    sentences: dict[Reason, str] = field(default_factory=dict)
    remarks: dict[WarningReason, str] = field(default_factory=dict)

    def refuse(self, reason: Reason, sentence: str) -> None:
        self.sentences.setdefault(reason, sentence)

    def remark(self, warning: WarningReason, sentence: str) -> None:
        self.remarks.setdefault(warning, sentence)


def judge(
    chain: Sequence[Certificate],
    store: TrustStore,
    *,
    name: str | None,
    at: datetime,
    known: Collection[Certificate] = (),
) -> Verdict:
    """Return whether ``store`` accepts ``chain`` for ``name`` at ``at``, or all reasons why not.

    Args:
        chain: As sent, leaf first; not empty.
        store: The anchors and the policy.
        name: DNS name or IP the certificate must be for; None: no name is checked.
        at: Judged to the second, as OpenSSL does.
        known: CA certificates from elsewhere that could complete the path.

    Raises:
        ValueError: ``chain`` is empty.
    """
    if not chain:
        raise ValueError("a chain of no certificates cannot be judged")
    return _Judgement(chain, store, at).verdict(name, known)


class _Judgement:
    """One judgement; what several of its steps need."""

    def __init__(self, chain: Sequence[Certificate], store: TrustStore, at: datetime) -> None:
        self._sent = chain
        self._store = store
        self._at = at.replace(microsecond=0)
        self._objects = Chain(chain)
        self._by_fingerprint: Mapping[str, Certificate] = {
            c.fingerprint_sha256: c for c in (*store.anchors, *chain)
        }
        self._found = _Findings()
        self._is_strict = store.profile is Profile.STRICT
        self._rules = Rules.STRICT if self._is_strict else Rules.NORMAL

    def verdict(self, name: str | None, known: Collection[Certificate]) -> Verdict:
        # What the strict profile accepts, the normal one does: mostly one question is enough
        strict = self._ask(Rules.STRICT)
        is_enough = self._is_strict or not strict.error or strict.error in TRUST_ERRORS
        answer = strict if is_enough else self._ask(Rules.NORMAL)
        path = [self._by_fingerprint[fingerprint] for fingerprint in answer.path]
        has_anchor = answer.error not in TRUST_ERRORS
        if has_anchor:
            self._explain(answer, path)
        else:
            self._explain_no_path(path, known)
        self._check_times(path)
        self._check_weakness(path, has_anchor=has_anchor)
        if has_anchor:
            self._check_form(strict, answer, path)
        if name is not None and not is_named(self._sent[0], name):
            self._found.refuse(Reason.HOSTNAME_MISMATCH, _named_sentence(self._sent[0], name))
        return self._put_together(answer, path)

    def _ask(self, rules: Rules) -> Answer:
        raw = _STORES.get(self._store.digest, self._store.anchors, rules)
        return verify(raw, self._objects, self._at)

    def _refuse(self, answer: Answer, path: Sequence[Certificate]) -> None:
        about = _position_of(path[answer.depth] if answer.depth < len(path) else None, self._sent)
        self._found.refuse(reason_of(answer.error), f"{words_of(answer.error)} ({about})")

    def _explain(self, answer: Answer, path: Sequence[Certificate]) -> None:
        """Add OpenSSL's error, and what it hides behind it."""
        if not answer.error:
            return
        if answer.error not in TIME_ERRORS:
            self._refuse(answer, path)
        rules = self._rules | Rules.ANY_TIME
        if answer.error in {PURPOSE_ERROR} | STRICT_ERRORS:
            rules = (rules | Rules.ANY_PURPOSE) & ~Rules.STRICT
        hidden = self._ask(rules)
        if hidden.error and hidden.error not in TRUST_ERRORS:
            self._refuse(hidden, [self._by_fingerprint[f] for f in hidden.path])

    def _explain_no_path(
        self, path: Sequence[Certificate], known: Collection[Certificate]
    ) -> None:
        """Add why no anchor was reached, and what is wrong with the path as far as it goes."""
        reason, sentence = self._why_no_path(path, known)
        self._found.refuse(reason, sentence)
        if len(path) < 2:
            self._explain_alone(path or self._sent[:1])
            return
        # With the last certificate that was found as the anchor, the rest can be judged
        top = _STORES.get(path[-1].fingerprint_sha256, [path[-1]], self._rules | Rules.ANY_TIME)
        rest = verify(top, self._objects, self._at)
        if rest.error and rest.error not in TRUST_ERRORS:
            self._refuse(rest, [self._by_fingerprint[f] for f in rest.path])

    def _explain_alone(self, path: Sequence[Certificate]) -> None:
        leaf = path[0]
        own = _STORES.get(leaf.fingerprint_sha256, [leaf], Rules.ANY_TIME)
        answer = verify(own, self._objects, self._at)
        if answer.error:
            self._refuse(answer, path)

    def _why_no_path(
        self, path: Sequence[Certificate], known: Collection[Certificate]
    ) -> tuple[Reason, str]:
        leaf, store = self._sent[0], self._store.name
        completed = find_path(leaf, [*self._sent[1:], *known], self._store.anchors)
        if completed:
            sent = {c.fingerprint_sha256 for c in (*self._sent, *self._store.anchors)}
            missing = next((c for c in completed if c.fingerprint_sha256 not in sent), None)
            return Reason.CHAIN_INCOMPLETE, (
                f"the endpoint did not send {missing.subject!r}"
                if missing
                else "a path exists only by reordering what was sent; many devices do not find it"
            )
        if leaf.subject == leaf.issuer and is_issued_by(leaf, leaf):
            return Reason.SELF_SIGNED, f"the certificate is its own issuer and not in {store}"
        top = path[-1] if path else leaf
        if top.subject == top.issuer:
            return Reason.UNKNOWN_CA, f"the CA {top.subject!r} is not in {store}"
        return Reason.UNKNOWN_CA, f"the issuer {top.issuer!r} is not in {store}"

    def _check_times(self, path: Sequence[Certificate]) -> None:
        for certificate in path:
            about = _position_of(certificate, self._sent)
            if self._at >= certificate.not_after:  # X509_cmp_time(3): equal counts as earlier
                self._found.refuse(
                    Reason.EXPIRED,
                    f"certificate has expired ({about}, {certificate.not_after:%Y-%m-%d})",
                )
            if self._at < certificate.not_before:
                self._found.refuse(
                    Reason.NOT_YET_VALID,
                    f"certificate is not yet valid ({about}, {certificate.not_before:%Y-%m-%d})",
                )

    def _check_weakness(self, path: Sequence[Certificate], *, has_anchor: bool) -> None:
        for weakness in weaknesses_of(path, reaches_anchor=has_anchor):
            about = _position_of(weakness.certificate, self._sent)
            sentence = f"the certificate {weakness.what} ({about})"
            if weakness.is_refused or self._store.weak_crypto is WeakCrypto.REFUSE:
                self._found.refuse(Reason.WEAK_CRYPTO, sentence)
            else:
                self._found.remark(WarningReason.WEAK_CRYPTO, sentence)

    def _check_form(self, strict: Answer, answer: Answer, path: Sequence[Certificate]) -> None:
        if strict.error and strict.error not in STRICT_ERRORS and answer.error:
            # an ordinary error may stand before one of form
            strict = self._ask(Rules.STRICT | Rules.ANY_TIME | Rules.ANY_PURPOSE)
        faults = faults_of_form(path)
        if strict.error in STRICT_ERRORS or (strict.error and not answer.error):
            what = words_of(strict.error)
        elif faults:
            certificate, words = faults[0]
            what = f"{words} ({_position_of(certificate, self._sent)})"
        else:
            return
        self._found.remark(WarningReason.NONCONFORMING, f"a strict verifier would refuse: {what}")
        if faults and self._store.profile is Profile.STRICT:
            self._found.refuse(Reason.OTHER, what)

    def _put_together(self, answer: Answer, path: Sequence[Certificate]) -> Verdict:
        reasons = in_order(set(self._found.sentences))
        is_verified = not reasons
        warnings = tuple(w for w in WarningReason if w in self._found.remarks)
        notes = [self._found.remarks[warning] for warning in warnings]
        if is_verified and self._needs_this_order():
            notes.insert(0, "verified, but some devices will not find the path: it depends on"
                            " which copy of a cross-signed certificate comes first")  # fmt: skip
        return Verdict(
            trust_store=self._store.name,
            verified=is_verified,
            reasons=reasons,
            warnings=warnings,
            detail=self._found.sentences[reasons[0]] if reasons else "; ".join(notes),
            path=answer.path if is_verified else (),
            not_after=min(c.not_after for c in path) if is_verified else None,
            judged_at=self._at,
            steady_until=_next_change((*self._sent, *self._store.anchors), self._at),
        )

    def _needs_this_order(self) -> bool:
        subjects = [c.subject for c in self._sent[1:]]
        if len(set(subjects)) == len(subjects):
            return False
        turned = Chain([self._sent[0], *reversed(self._sent[1:])])
        raw = _STORES.get(self._store.digest, self._store.anchors, self._rules)
        return verify(raw, turned, self._at).error != 0


def _next_change(certificates: Iterable[Certificate], at: datetime) -> datetime | None:
    """Return the first moment after ``at`` at which one of them begins or ends."""
    moments = (
        moment
        for certificate in certificates
        for moment in (certificate.not_before, certificate.not_after)
        if moment > at
    )
    return min(moments, default=None)


def _position_of(certificate: Certificate | None, sent: Sequence[Certificate]) -> str:
    if certificate is None:
        return "chain"
    if certificate.fingerprint_sha256 == sent[0].fingerprint_sha256:
        return "leaf"
    for position, other in enumerate(sent):
        if other.fingerprint_sha256 == certificate.fingerprint_sha256:
            return f"position {position}, {certificate.subject}"
    return f"anchor {certificate.subject}"


def _named_sentence(leaf: Certificate, name: str) -> str:
    names = names_of(leaf)
    shown = ", ".join([*names.dns, *names.ips][:5]) or leaf.subject_cn or "nothing"
    return f"the certificate is for {shown}, not for {name}"
