from exporter.targets.model import Role, Target, phase_of, shard_of


def test_an_address_has_its_ipv6_host_in_brackets() -> None:
    assert Target(name="a", role=Role.GATEWAY, host="::1", port=1).address == "[::1]:1"
    assert Target(name="a", role=Role.GATEWAY, host="a.example", port=1).address == "a.example:1"
    assert Target(name="a", role=Role.DEVICE).address is None


def test_the_checked_name_is_the_host_unless_another_or_none_is_wanted() -> None:
    assert Target(name="a", role=Role.GATEWAY, host="h", port=1).checked_name == "h"
    named = Target(name="a", role=Role.GATEWAY, host="h", port=1, server_name="s")
    assert named.checked_name == "s"
    unnamed = Target(name="a", role=Role.GATEWAY, host="h", port=1, server_name="")
    assert unnamed.checked_name is None


def test_phases_are_steady_and_spread_over_the_interval() -> None:
    phases = [phase_of(f"dev-{n}", 60.0) for n in range(1_000)]

    assert phases == [phase_of(f"dev-{n}", 60.0) for n in range(1_000)]
    assert all(0 <= phase < 60 for phase in phases)
    counts = [sum(start <= phase < start + 6 for phase in phases) for start in range(0, 60, 6)]
    assert all(60 < count < 140 for count in counts)


def test_shards_are_steady_and_even() -> None:
    shards = [shard_of(f"dev-{n}", 4) for n in range(1_000)]

    assert set(shards) == {1, 2, 3, 4}
    assert all(200 < shards.count(shard) < 300 for shard in range(1, 5))
