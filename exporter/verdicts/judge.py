"""Judges one chain against one trust store at one moment; pure but for a cache of stores.

OpenSSL decides ``verified`` on the chain as it was sent. It stops at its first error, so all the
other reasons come from asking it again with one rule less, and from checks of our own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from exporter.anchors import Profile, TrustStore, WeakCrypto
from exporter.certificates import Certificate
from exporter.observations import Reason, WarningReason, in_order
from exporter.verdicts import sentences
from exporter.verdicts.errors import (
    SELF_SIGNED_ERROR,
    TIME_ERRORS,
    TRUST_ERRORS,
    reason_of,
)
from exporter.verdicts.form import faults_of_form
from exporter.verdicts.model import Verdict
from exporter.verdicts.names import wanted_name
from exporter.verdicts.openssl import (
    Anchors,
    AnchorsCache,
    Answer,
    Chain,
    Rules,
    is_named,
    moments_of,
    verify,
    words_of,
)
from exporter.verdicts.paths import Authorities, has_bad_signature, passed_over, paths_to
from exporter.verdicts.questions import examine
from exporter.verdicts.weak import weaknesses_of

_ANCHORS = AnchorsCache()


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
        known: CA certificates from elsewhere that could complete the path; ``Authorities`` are
            searched faster than others.

    Raises:
        ValueError: ``chain`` is empty.
    """
    if not chain:
        raise ValueError("a chain of no certificates cannot be judged")
    moment = at.replace(microsecond=0)
    try:
        objects = Chain(chain)
    except ValueError:
        return refused_as_unreadable(store, "OpenSSL cannot read the leaf", at=moment)
    judgement = _Judgement(chain=chain, objects=objects, store=store, at=moment)
    judgement.check_trust(known)
    if name is not None:
        judgement.check_name(name)
    return judgement.verdict()


def refused_as_unreadable(store: TrustStore, detail: str, *, at: datetime) -> Verdict:
    """Return the verdict on a chain of which not every certificate can be parsed."""
    return Verdict(
        trust_store=store.name,
        verified=False,
        reasons=(Reason.OTHER,),
        detail=detail,
        judged_at=at,
    )


@dataclass(slots=True, kw_only=True)
class _Judgement:
    """One judgement in the making: reasons and remarks, each with its first sentence.

    Attributes:
        path: Leaf first; to an anchor where ``has_anchor``, else as far as it goes.
        considered: Certificates from elsewhere that had a part in it.
    """

    chain: Sequence[Certificate]
    objects: Chain
    store: TrustStore
    at: datetime
    path: Sequence[Certificate] = ()
    has_anchor: bool = True
    considered: set[Certificate] = field(default_factory=set)
    reasons: dict[Reason, str] = field(default_factory=dict)
    remarks: dict[WarningReason, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def check_trust(self, known: Collection[Certificate]) -> None:
        """Find the path, and all that is wrong with it."""
        answer = self._ask(Rules.STRICT)
        # What the strict profile accepts, the normal one does too: mostly one question is enough
        strict_fault = answer if answer.error else None
        if answer.error and answer.error not in TRUST_ERRORS:
            answer = self._ask(Rules.NORMAL)
        self.path = answer.path
        if answer.error in TRUST_ERRORS:
            self._explain_no_path(answer, known)
        if answer.error:
            self.has_anchor = self.path[-1].fingerprint_sha256 in self._anchors.fingerprints
            strict_fault = self._examine()
        else:
            self._note_passed_over()
        self._check_times()
        self._check_weakness()
        self._check_form(strict_fault)

    def check_name(self, name: str) -> None:
        """Find out whether the leaf is for ``name``."""
        wanted = wanted_name(name)
        if wanted is None or not is_named(self.objects, wanted):
            self._refuse(
                Reason.HOSTNAME_MISMATCH, sentences.hostname_mismatch(self.chain[0], name)
            )

    def verdict(self) -> Verdict:
        """Put together what was found."""
        reasons = in_order(set(self.reasons))
        warnings = tuple(warning for warning in WarningReason if warning in self.remarks)
        notes = [*self.notes, *(self.remarks[warning] for warning in warnings)]
        return Verdict(
            trust_store=self.store.name,
            verified=not reasons,
            reasons=reasons,
            warnings=warnings,
            detail=self.reasons[reasons[0]] if reasons else "; ".join(notes),
            path=tuple([c.fingerprint_sha256 for c in self.path]) if self.has_anchor else (),
            not_after=None if reasons else min([c.not_after for c in self.path]),
            judged_at=self.at,
            steady_until=self._next_change(),
        )

    @property
    def _anchors(self) -> Anchors:
        return _ANCHORS.get(self.store.digest, self.store.anchors)

    def _ask(self, rules: Rules) -> Answer:
        return verify(self.objects, self._anchors, rules, self.at)

    def _refuse(self, reason: Reason, sentence: str) -> None:
        self.reasons.setdefault(reason, sentence)

    def _refuse_by(self, answer: Answer) -> None:
        place = self._place(answer.about)
        self._refuse(reason_of(answer.error), f"{words_of(answer.error)} ({place})")

    def _place(self, certificate: Certificate) -> str:
        return sentences.place_of(certificate, self.chain)

    def _explain_no_path(self, answer: Answer, known: Collection[Certificate]) -> None:
        """Say why no anchor was reached; where one could be, take that path."""
        completed = self._completed_path(known)
        if completed is not None:
            self.path = completed
            sent = {c.fingerprint_sha256 for c in (*self.chain, *self.store.anchors)}
            missing = next((c for c in completed if c.fingerprint_sha256 not in sent), None)
            sentence = (
                f"the endpoint did not send {missing.subject!r}"
                if missing
                else "a path exists only by reordering what was sent; many devices do not find it"
            )
            self._refuse(Reason.CHAIN_INCOMPLETE, sentence)
            return
        top = self.path[-1]
        if answer.error == SELF_SIGNED_ERROR:
            sentence = f"the certificate is its own issuer and not in {self.store.name}"
            self._refuse(Reason.SELF_SIGNED, sentence)
        else:
            self._refuse(Reason.UNKNOWN_CA, sentences.unknown_ca(top, self.store.name))

    def _completed_path(self, known: Collection[Certificate]) -> Sequence[Certificate] | None:
        """Return the best path to an anchor over what was sent, else over what is known too."""
        sent = Authorities(self.chain[1:])
        more = known if isinstance(known, Authorities) else Authorities(known)
        for sources in ((sent,), (sent, more)):
            found = paths_to(self.store.anchors, self.chain[0], sources)
            self.considered.update(*found)
            examined = [(path, examine(path, self.at).faults) for path in found]
            usable = sorted((pair for pair in examined if _is_path(pair[1])), key=_fault_count)
            if usable:
                return usable[0][0]
        return None

    def _examine(self) -> Answer | None:
        """Refuse by each fault of the path; return what only the strict profile refuses."""
        examination = examine(self.path, self.at)
        for fault in examination.faults:
            if fault.error not in TIME_ERRORS:  # told with their dates by _check_times
                self._refuse_by(fault)
        if not examination.is_whole:
            self._check_signatures()
        return examination.strict_fault

    def _check_signatures(self) -> None:
        """OpenSSL looks at signatures last, behind what cannot be left out of a question."""
        for certificate, issuer in pairwise(self.path):
            if has_bad_signature(certificate, issuer):
                self._refuse(
                    Reason.BAD_SIGNATURE,
                    f"certificate signature failure ({self._place(certificate)})",
                )

    def _check_times(self) -> None:
        for certificate in self.path:
            # Up to OpenSSL 3.x a certificate has ended in the second that it names, as
            # X509_cmp_time(3) says; from 4.0 on one second later. Devices run the older ones.
            if self.at >= certificate.not_after:
                place = self._place(certificate)
                self._refuse(Reason.EXPIRED, sentences.expired(certificate, place))
            if self.at < certificate.not_before:
                place = self._place(certificate)
                self._refuse(Reason.NOT_YET_VALID, sentences.not_yet_valid(certificate, place))

    def _check_weakness(self) -> None:
        for weakness in weaknesses_of(self.path, reaches_anchor=self.has_anchor):
            sentence = f"the certificate {weakness.what} ({self._place(weakness.certificate)})"
            if weakness.is_refused or self.store.weak_crypto is WeakCrypto.REFUSE:
                self._refuse(Reason.WEAK_CRYPTO, sentence)
            else:
                self.remarks.setdefault(WarningReason.WEAK_CRYPTO, sentence)

    def _check_form(self, strict_fault: Answer | None) -> None:
        """Remark, or by a strict store refuse, what only a strict profile refuses."""
        if strict_fault is not None:
            place = self._place(strict_fault.about)
            what = f"{words_of(strict_fault.error)} ({place})"
            reason = reason_of(strict_fault.error)
        else:
            faults = faults_of_form(self.path)
            if not faults:
                return
            certificate, words = faults[0]
            what = f"{words} ({self._place(certificate)})"
            reason = Reason.OTHER
        if self.store.profile is Profile.STRICT:
            self._refuse(reason, what)
        else:
            self.remarks.setdefault(
                WarningReason.NONCONFORMING, f"a strict verifier would refuse: {what}"
            )

    def _note_passed_over(self) -> None:
        if len(self.chain) > 2:
            other = passed_over(self.path, self.chain)
            if other is not None:
                self.notes.append(
                    "verified, but some devices will not find the path: they take the first"
                    f" {other.subject!r} that was sent, which is not on it"
                )

    def _next_change(self) -> datetime | None:
        of_anchors = self._anchors.next_change(self.at)
        moments = [
            moment
            for certificate in (*self.chain, *self.considered)
            for moment in moments_of(certificate)
            if moment > self.at
        ]
        if of_anchors is not None:
            moments.append(of_anchors)
        return min(moments, default=None)


def _is_path(faults: Sequence[Answer]) -> bool:
    """Return whether OpenSSL, too, takes each for the issuer of the one before."""
    return all(
        fault.error not in TRUST_ERRORS and reason_of(fault.error) is not Reason.BAD_SIGNATURE
        for fault in faults
    )


def _fault_count(examined: tuple[Sequence[Certificate], Sequence[Answer]]) -> int:
    return len(examined[1])
