"""Files as Apache's parquet-testing has them, and damaged ones: a result or an error of emberharmony, never a signal."""

import json
import subprocess
import sys

import pytest

REFUSED = {
    "binary.parquet": "No column is left to make features of",
    "map_no_value.parquet": "No column is left to make features of",
    "null_list.parquet": "No column is left to make features of",
    "nulls.snappy.parquet": "of its training values are missing",
    "float16_zeros_and_nans.parquet": "constant in training",
    "single_nan.parquet": "of its training values are missing",
    "encrypt_columns_and_footer.parquet": "is encrypted",
    "encrypt_columns_plaintext_footer.parquet": "is encrypted",
    "uniform_encryption.parquet": "is encrypted",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What came of every file, in the order in which they were tried."""
    command = [sys.executable, "-m", "tests.integration.parquet_testing", str(tmp_path_factory.mktemp("files"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1:]}: exit status {done.returncode}\n{done.stderr[-3000:]}"
    return dict(lines)


def test_every_file_ends_in_a_result_or_in_words(results):
    assert len(results) > 120
    for name, result in results.items():
        assert result.startswith(("rows: ", "DataError: ", "PlanError: ")), f"{name}: {result}"
        assert "\n" not in result
        assert len(result) < 600


def test_what_is_sound_is_read_and_what_is_not_is_refused(results):
    sound = {name: result for name, result in results.items() if "-changed-at-" not in name and "-cut-at-" not in name}
    for name, result in sound.items():
        if name in REFUSED:
            assert REFUSED[name] in result, name
        else:
            assert result == ("rows: 2000" if name.startswith("overflow") else "rows: 40"), name
    assert REFUSED.keys() <= sound.keys()


def test_files_that_end_too_early_are_named(results):
    cut = {name: result for name, result in results.items() if "-cut-at-" in name}
    assert len(cut) == 15
    for name, result in cut.items():
        assert name in result
        assert "cannot be read as Parquet, at its footer" in result
