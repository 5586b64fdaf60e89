import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.targets.entries import (
    Known,
    dropped,
    entry_of_labels,
    entry_of_static,
    target_of,
    targets_of_group,
)
from exporter.targets.model import Dropped, Role, Target
from exporter.targets.options import DeviceClass, StaticTarget

KNOWN = Known(
    trust_stores=("fw-4.1", "fw-4.2"),
    device_classes={
        "sensor": DeviceClass(name="sensor", holds=("fw-4.2",), contact_interval=3_600.0)
    },
    management_apis=("site-a",),
    protocols=("tls",),
    later_protocols=("tls", "smtp"),
)
KEYS = (
    "name", "address", "role", "protocol", "server_name", "trust_stores", "holds",
    "device_class", "rollout_group", "gateway", "peers", "management_api", "expiry_warning",
    "__meta", "job",
)  # fmt: skip


def made(text: str, **labels: str) -> Target:
    (found,) = targets_of_group([text], labels, KNOWN, source="f.json")
    assert isinstance(found, Target)
    return found


def refused(text: str, **labels: str) -> str:
    (found,) = targets_of_group([text], labels, KNOWN, source="f.json")
    assert isinstance(found, Dropped)
    return found.message


def test_all_labels_are_taken_over() -> None:
    target = made(
        "10.0.0.7:8883",
        name="dev-07",
        gateway="gw-1",
        server_name="dev.example",
        trust_stores="fw-4.1, fw-4.2",
        holds="fw-4.1",
        device_class="sensor",
        rollout_group="canary",
        peers="10.0.0.7,10.1.0.0/16,",
        management_api="site-a",
        expiry_warning="60d",
    )

    assert target == Target(
        name="dev-07",
        role=Role.DEVICE,
        host="10.0.0.7",
        port=8883,
        server_name="dev.example",
        trust_stores=("fw-4.1", "fw-4.2"),
        holds=("fw-4.1",),
        device_class="sensor",
        rollout_group="canary",
        gateway="gw-1",
        peers=("10.0.0.7", "10.1.0.0/16"),
        management_api="site-a",
        contact_interval_s=3_600.0,
        expiry_warning_s=60 * 86_400.0,
    )
    assert target.source == "f.json"


def test_the_name_defaults_to_the_address() -> None:
    assert made("gw-1.example:8883").name == "gw-1.example:8883"


def test_the_role_defaults_to_device_behind_a_gateway_else_to_gateway() -> None:
    assert made("a:1").role is Role.GATEWAY
    assert made("a:1", gateway="gw-1").role is Role.DEVICE
    assert made("a:1", role="device").role is Role.DEVICE


def test_unknown_labels_and_those_with_two_underscores_are_ignored() -> None:
    assert made("a:1", __meta_x="1", job="tls", port="9") == made("a:1")


def test_a_device_holds_what_its_class_holds_unless_it_says_otherwise() -> None:
    assert made("a:1", gateway="g", device_class="sensor").holds == ("fw-4.2",)
    assert made("a:1", gateway="g", device_class="sensor", holds="fw-4.1").holds == ("fw-4.1",)
    assert made("a:1", gateway="g", device_class="sensor", holds="").holds == ("fw-4.2",)
    assert made("a:1", gateway="g").holds == ()


def test_an_empty_label_is_an_absent_one() -> None:
    empty = dict.fromkeys(
        ("name", "role", "protocol", "trust_stores", "device_class", "gateway", "peers"), ""
    )

    assert made("a:1", **empty, management_api="", rollout_group="") == made("a:1")


def test_an_empty_server_name_checks_no_name() -> None:
    target = made("a:1", server_name="")

    assert target.server_name == ""
    assert target.checked_name is None


def test_a_discovered_device_may_have_no_address() -> None:
    target = made("dev-01", gateway="gw-1", address="")

    assert (target.name, target.host, target.port) == ("dev-01", None, None)
    assert target.trust_stores == ()


def test_an_address_label_stands_for_the_text() -> None:
    target = made("dev-01", gateway="gw-1", address="10.0.0.1:8883")

    assert (target.name, target.address) == ("dev-01", "10.0.0.1:8883")


def test_how_early_a_target_wants_its_warning_is_the_same_written_or_discovered() -> None:
    static = StaticTarget(name="a:1", address="a:1", expiry_warning=129_600.5)

    written = target_of(entry_of_static(static), KNOWN, source="")

    assert written == made("a:1", expiry_warning="1d12h500ms")


def test_an_endpoint_without_stores_is_judged_by_the_systems() -> None:
    assert made("a:1").trust_stores == ("system",)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"trust_stores": "fw-4.3"},
            "trust_stores[0]: the trust store 'fw-4.3' is not known; did you mean 'fw-4.2'?",
        ),
        (
            {"holds": "fw-4.1,nope", "gateway": "g"},
            "holds[1]: the trust store 'nope' is not known; there are: fw-4.1, fw-4.2",
        ),
        (
            {"device_class": "sensr", "gateway": "g"},
            "device_class: the device class 'sensr' is not known; did you mean 'sensor'?",
        ),
        (
            {"expiry_warning": "soon"},
            "expiry_warning: 'soon' is not a duration; write it as Prometheus does: 30s, 5m,"
            " 1h30m, 14d",
        ),
        (
            {"expiry_warning": "0s"},
            "expiry_warning: '0s' is not possible; more than 0s and at most 3650d are",
        ),
        (
            {"management_api": "zzz"},
            "management_api: the management API 'zzz' is not known; there are: site-a",
        ),
        (
            {"protocol": "smtp"},
            "protocol: the protocol 'smtp' is not supported yet; supported: tls",
        ),
        ({"protocol": "xyz"}, "protocol: the protocol 'xyz' is not known; there are: tls"),
        ({"role": "router"}, "role: 'router' is not a role; a target is a gateway or a device"),
        (
            {"role": "gateway", "gateway": "g"},
            "gateway: a gateway stands behind no gateway; leave out `gateway`, or the role",
        ),
        (
            {"address": ""},
            "address: a gateway needs an address, HOST:PORT; only a device may have none",
        ),
        ({"address": "a"}, "address: 'a' has no port; write HOST:PORT, like gw-1.example:8883"),
        (
            {"peers": "x"},
            "peers[0]: 'x' is neither an IP address nor a network like 10.1.0.0/16",
        ),
        ({"peers": "10.0.0.1," * 101}, "peers: 101 are named here; at most 100 can be"),
        (
            {"rollout_group": "a\nb"},
            r"rollout_group: 'a\nb' is not usable; write at most 253 printable characters",
        ),
        (
            {"name": "\ud800"},
            r"name: '\ud800' is not a name; write 1 to 200 printable characters,"
            " no spaces at the ends",
        ),
    ],
    ids=lambda value: ascii(value)[:30] if isinstance(value, dict) else "",
)
def test_an_entry_that_cannot_be_used_is_dropped_with_a_sentence(
    labels: dict[str, str], message: str
) -> None:
    assert refused("a:1", **labels) == message


def test_all_that_is_wrong_is_told_at_once() -> None:
    problems = target_of(
        entry_of_labels("nowhere", {"protocol": "x", "role": "y"}), KNOWN, source=""
    )

    assert not isinstance(problems, Target)
    assert [problem.key for problem in problems] == ["protocol", "role", "address"]


def test_the_note_on_a_dropped_entry_is_bounded_and_escaped() -> None:
    (note,) = targets_of_group(["\x1b" * 9_000], {"protocol": "p" * 9_000}, KNOWN, source="f")

    assert isinstance(note, Dropped)
    assert len(note.name) < 400
    assert len(note.message) <= 600
    assert "\x1b" not in note.name + note.message


@pytest.mark.parametrize("label", ["name", "address"])
def test_a_name_on_a_group_of_several_drops_each_of_them(label: str) -> None:
    found = list(targets_of_group(["a:1", "b:2"], {label: "gw:1"}, KNOWN, source="f"))

    assert [one.name for one in found] == ["a:1", "b:2"]
    assert all(
        isinstance(one, Dropped)
        and one.message
        == f"the label `{label}` stands on a group of 2 targets;"
        " give each target a group of its own"
        for one in found
    )


def test_a_group_of_several_without_a_name_gives_a_target_each() -> None:
    found = list(targets_of_group(["a:1", "b", "c:3"], {"rollout_group": "x"}, KNOWN, source="f"))

    assert [type(one).__name__ for one in found] == ["Target", "Dropped", "Target"]


def test_a_note_names_key_and_reason() -> None:
    problems = target_of(entry_of_labels("a", {}), KNOWN, source="f")

    assert not isinstance(problems, Target)
    assert dropped("a", problems, "f").message.startswith("address: 'a' has no port")


@given(
    st.lists(st.text(max_size=20) | st.just("a:1"), max_size=3),
    st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), st.text(max_size=30), max_size=8),
)
def test_no_mapping_of_labels_raises(texts: list[str], labels: dict[str, str]) -> None:
    found = list(targets_of_group(texts, labels, KNOWN, source="f"))

    assert len(found) == len(texts)
    for one in found:
        assert one.name.isprintable()
        assert isinstance(one, Target) or one.message
