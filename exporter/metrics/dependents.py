"""How much hangs on each anchor, counted as the targets change."""

from collections import Counter

from exporter.fleet.model import TargetState

DEPENDENTS = "fleet_tls_trust_anchor_dependents"


def anchors_of(state: TargetState) -> frozenset[str]:
    """Return the anchors, by SHA-256, that the good verdicts about and of a target end at."""
    verdicts = list(state.verdicts.values())
    if state.acceptance is not None:
        verdicts.append(state.acceptance.verdict)
    return frozenset(one.path[-1] for one in verdicts if one.verified and one.path)


class Dependents:
    """Counts of targets by anchor."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def changed(self, old: TargetState | None, new: TargetState | None) -> bool:
        """Take a target's change into account; return whether a count is another now.

        None: it was not there before, or is not any more.
        """
        if old and new and old.verdicts is new.verdicts and old.acceptance is new.acceptance:
            return False
        before = anchors_of(old) if old else frozenset()
        after = anchors_of(new) if new else frozenset()
        self._counts.subtract(before - after)
        self._counts.update(after - before)
        return before != after

    def lines(self) -> str:
        """Return the sample lines; an anchor that nothing hangs on has none."""
        return "".join(
            f'{DEPENDENTS}{{anchor="{anchor}"}} {count}\n'
            for anchor, count in sorted(self._counts.items())
            if count > 0
        )
