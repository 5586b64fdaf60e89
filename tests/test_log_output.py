import json
import logging
import sys

import pytest

from exporter.log_output import JsonFormatter, LogFormat, TextFormatter, set_up_logging


def record(message: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("exporter.web.server", level, __file__, 1, message, args, None)
    made.created = 1_795_521_600.25
    return made


def failed() -> logging.LogRecord:
    made = record("tick failed", level=logging.ERROR)
    try:
        int("\x1b[31mred")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_people_read_moment_level_part_and_sentence() -> None:
    line = TextFormatter(journald=False).format(record("%d targets", 3))

    assert line == "2026-11-24T12:00:00.250Z info    web.server: 3 targets"


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3)],
)
def test_journald_gets_the_priority_and_adds_the_moment_itself(level: int, priority: int) -> None:
    line = TextFormatter(journald=True).format(record("x", level=level))

    assert line == f"<{priority}>web.server: x"


def test_every_line_of_a_traceback_has_its_priority() -> None:
    lines = TextFormatter(journald=True).format(failed()).splitlines()

    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize("journald", [True, False])
def test_a_name_cannot_write_a_line_of_its_own(journald: bool) -> None:
    line = TextFormatter(journald=journald).format(record("name=%s", "a\nerror: all well\x1b[2J"))

    assert len(line.splitlines()) == 1
    assert line.endswith("name=a\\nerror: all well\\x1b[2J")


def test_an_exceptions_text_cannot_either() -> None:
    text = TextFormatter(journald=False).format(failed())

    assert "31mred" in text
    assert "\x1b" not in text


def test_json_is_one_object_a_line() -> None:
    fields = json.loads(JsonFormatter().format(record("name=%s", "a\nb")))

    assert fields == {
        "ts": "2026-11-24T12:00:00.250Z",
        "level": "info",
        "logger": "exporter.web.server",
        "msg": "name=a\nb",
    }


def test_json_carries_the_traceback() -> None:
    text = JsonFormatter().format(failed())

    assert "\n" not in text
    assert "ValueError" in json.loads(text)["exception"]


@pytest.fixture
def root() -> object:
    found = logging.getLogger()
    before = (found.handlers[:], found.level)
    yield found
    found.handlers[:], level = before
    found.setLevel(level)


@pytest.mark.parametrize("shape", list(LogFormat))
def test_the_least_level_is_what_was_asked_for(
    shape: LogFormat, root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logging(shape, "warning")

    logging.getLogger("exporter.app").info("quiet")
    logging.getLogger("exporter.app").warning("heard")

    err = capsys.readouterr().err
    assert "heard" in err
    assert "quiet" not in err
