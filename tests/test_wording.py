from exporter.wording import listed, nearest, shown, unknown


def test_a_value_is_shown_quoted_escaped_and_cut() -> None:
    assert shown("a\nb") == r"'a\nb'"
    assert shown("\x1b[31m") == r"'\x1b[31m'"
    assert shown("x" * 100, 5) == "'xxxxx…'"
    assert shown(12) == "'12'"


def test_many_words_are_counted() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"


def test_the_nearest_word_is_offered_only_when_near() -> None:
    assert nearest("adress", ["name", "address"]) == "did you mean 'address'?"
    assert nearest("zzz", ["name", "address"]) == ""


def test_an_unknown_word_is_told_with_what_there_is() -> None:
    assert unknown("the store", "fw-43", ["fw-4.3"], none="none") == (
        "the store 'fw-43' is not known; did you mean 'fw-4.3'?"
    )
    assert unknown("the store", "zzz", ["fw-4.3"], none="none") == (
        "the store 'zzz' is not known; there are: fw-4.3"
    )
    assert unknown("the store", "zzz", [], none="there is none") == (
        "the store 'zzz' is not known; there is none"
    )
