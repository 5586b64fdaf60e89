"""What the demo can be asked for."""

import pytest

from exporter.demo.options import (
    Break,
    DemoOptions,
    Remediation,
    Terminator,
    check_options,
)
from exporter.errors import ConfigError


@pytest.mark.parametrize("broken", [None, *Break])
@pytest.mark.parametrize("devices", [1, 18, 200])
def test_what_the_demo_can_do_is_accepted(broken: Break | None, devices: int) -> None:
    check_options(DemoOptions(devices=devices, break_=broken, port=0))


@pytest.mark.parametrize("terminator", list(Terminator))
@pytest.mark.parametrize("remediation", list(Remediation))
def test_it_stands_behind_any_terminator_in_any_mode(
    terminator: Terminator, remediation: Remediation
) -> None:
    check_options(DemoOptions(terminator=terminator, remediation=remediation))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            DemoOptions(devices=0),
            "--devices: 0 is not possible; 1 to 200 are, "
            "each with a loopback address of its own (127.0.1.N)",
        ),
        (
            DemoOptions(devices=201),
            "--devices: 201 is not possible; 1 to 200 are, "
            "each with a loopback address of its own (127.0.1.N)",
        ),
        (DemoOptions(port=65_536), "--port: 65536 is not a port; 0 to 65535 are"),
        (DemoOptions(port=-1), "--port: -1 is not a port; 0 to 65535 are"),
        (
            DemoOptions(rotate=True, break_=Break.EXPIRED),
            "--rotate: a rotation begins with a healthy fleet; "
            "leave --break expired out, or --rotate",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_by_a_sentence(options: DemoOptions, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_options(options)

    assert str(refused.value) == sentence


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        check_options(DemoOptions(devices=0, port=-1, rotate=True, break_=Break.EXPIRED))

    assert [fault.place for fault in refused.value.faults] == ["--devices", "--port", "--rotate"]
