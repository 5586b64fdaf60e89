"""Every refusal has a sample named for it, and its exact sentences beside it."""

from pathlib import Path

import pytest

from exporter.config import check

SAMPLES = Path(__file__).parents[1] / "samples" / "config"
FAULTS = sorted(path.stem for path in SAMPLES.glob("*.yml"))


def told_of(sample: str) -> list[str]:
    """``LINE dotted.key: sentence`` of each fault; FOLDER stands for the samples' own folder."""
    path = SAMPLES / f"{sample}.yml"
    config, faults = check(path)
    assert config is None
    return [
        str(fault).removeprefix(f"{path}:").replace(str(SAMPLES), "FOLDER") for fault in faults
    ]


def test_every_sample_has_its_sentences() -> None:
    expected = {path.name.removesuffix(".expected.txt") for path in SAMPLES.glob("*.expected.txt")}

    assert len(FAULTS) > 80
    assert set(FAULTS) == expected


@pytest.mark.parametrize("sample", FAULTS)
def test_a_fault_is_told_with_line_key_and_sentence(sample: str) -> None:
    sentences = (SAMPLES / f"{sample}.expected.txt").read_text().splitlines()

    told = told_of(sample)

    assert len(told) == len(sentences) > 0
    for said, expected in zip(told, sentences, strict=True):
        if expected.endswith("…"):  # goes on with a library's own words
            assert said.startswith(expected.removesuffix("…"))
        else:
            assert said == expected


@pytest.mark.parametrize("sample", FAULTS)
def test_no_fault_repeats_a_secret(sample: str) -> None:
    told = "\n".join(told_of(sample))

    assert "hunter2" not in told
    assert "1234" not in told
