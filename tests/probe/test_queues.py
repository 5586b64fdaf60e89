from exporter.probe.pace import Health
from exporter.probe.queues import Entry, Queues
from exporter.targets.model import Role, Target


def entry(name: str, host: str = "", *, answers: bool = True) -> Entry:
    return Entry(
        target=Target(name=name, role=Role.DEVICE),
        host=host or name,
        phase=0.0,
        due_s=0.0,
        period_s=60.0,
        health=Health(answers=answers),
    )


def taken(queues: Queues) -> list[str]:
    names = []
    while (found := queues.take()) is not None:
        names.append(found.target.name)
    return names


def test_no_more_run_than_may() -> None:
    queues = Queues(concurrency=2, host_concurrency=10)
    entries = [entry(name) for name in "abc"]
    for one in entries:
        queues.put(one)

    assert taken(queues) == ["a", "b"]
    queues.release(entries[0])
    assert taken(queues) == ["c"]
    assert queues.running_count == 2


def test_who_answers_goes_first() -> None:
    queues = Queues(concurrency=10, host_concurrency=10)
    queues.put(entry("dead", answers=False))
    queues.put(entry("live"))

    assert taken(queues) == ["live", "dead"]


def test_a_quarter_is_kept_for_those_that_answer() -> None:
    queues = Queues(concurrency=8, host_concurrency=10)
    for number in range(20):
        queues.put(entry(f"dead-{number}", answers=False))

    assert len(taken(queues)) == 6
    for number in range(20):
        queues.put(entry(f"live-{number}"))
    assert taken(queues) == ["live-0", "live-1"]


def test_of_one_place_the_dead_may_have_it() -> None:
    queues = Queues(concurrency=1, host_concurrency=1)
    queues.put(entry("dead", answers=False))

    assert taken(queues) == ["dead"]


def test_a_full_host_holds_up_no_other() -> None:
    queues = Queues(concurrency=10, host_concurrency=2)
    same = [entry(f"same-{number}", "gw") for number in range(5)]
    for one in (*same, entry("other")):
        queues.put(one)

    assert taken(queues) == ["same-0", "same-1", "other"]
    assert [one.target.name for one in queues.waiting()] == ["same-2", "same-3", "same-4"]
    queues.release(same[0])
    assert taken(queues) == ["same-2"]


def test_a_host_is_forgotten_when_the_last_look_there_has_ended() -> None:
    queues = Queues(concurrency=10, host_concurrency=2)
    same = [entry("same-0", "gw"), entry("same-1", "gw")]
    for one in same:
        queues.put(one)
    assert taken(queues) == ["same-0", "same-1"]

    queues.release(same[0])
    assert list(queues._hosts) == ["gw"]
    queues.release(same[1])
    assert queues._hosts == {}


def test_at_a_host_too_a_place_is_kept_for_those_that_answer() -> None:
    queues = Queues(concurrency=100, host_concurrency=4)
    dead = [entry(f"dead-{number}", "gw", answers=False) for number in range(9)]
    for one in dead:
        queues.put(one)
    assert len(taken(queues)) == 3

    live = [entry("live-0", "gw"), entry("live-1", "gw")]
    for one in live:
        queues.put(one)
    assert taken(queues) == ["live-0"]
    queues.release(dead[0])
    assert taken(queues) == ["live-1"]
    assert len(list(queues.waiting())) == 6
    queues.release(live[0])
    assert taken(queues) == ["dead-3"]


def test_one_that_left_takes_no_place_and_keeps_nobody_waiting() -> None:
    queues = Queues(concurrency=10, host_concurrency=1)
    entries = [entry(f"same-{number}", "gw") for number in range(4)]
    for one in entries:
        queues.put(one)
    assert taken(queues) == ["same-0"]

    entries[1].is_gone = entries[2].is_gone = True
    queues.release(entries[0])

    assert taken(queues) == ["same-3"]
    queues.release(entries[3])
    assert queues.running_count == 0
    assert queues._hosts == {}


def test_one_that_left_while_it_waited_overall_is_passed_over() -> None:
    queues = Queues(concurrency=10, host_concurrency=1)
    gone = entry("gone")
    queues.put(gone)
    gone.is_gone = True

    assert taken(queues) == []
