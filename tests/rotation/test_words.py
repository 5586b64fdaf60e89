"""What a person's word makes of a rotation."""

from exporter.rotation.model import Step
from exporter.rotation.records import Rotation
from exporter.rotation.words import undone
from tests.rotation.cases import FACTS, NOW, PLAN, VALIDATED, mark_gateway, view, with_gateway


def test_only_what_was_changed_by_hand_and_is_seen_is_put_back() -> None:
    facts = with_gateway(FACTS, "gw-1", served="e" * 64)
    facts = with_gateway(facts, "gw-2", served=None)
    facts = with_gateway(facts, "gw-3", served="f" * 64)
    marks = mark_gateway(VALIDATED, "gw-3", intended=Step.ROTATE)
    rotation = Rotation(plan=PLAN, old_pem="", new_pem="", started_at=NOW, marks=marks)

    put_back, names = undone(rotation, view(facts, marks))

    assert names == ["gw-1"]
    assert put_back.marks.gateway("gw-1").intended is Step.ROLL_BACK
    assert put_back.marks.gateway("gw-3") == marks.gateway("gw-3")
