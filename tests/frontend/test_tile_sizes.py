"""What `tune=` may say, and the place named when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from twill import frontend
from twill.errors import InputError

TUNED = Path(__file__).resolve().parents[1] / "kernels_for_tests" / "tuned.py"
GIVEN = '{"BLOCK_N": [32, 64, 96, 128], "BLOCK_K": [64, 1024]}'


def test_lists_and_ranges(tmp_path: Path) -> None:
    source = frontend.load(TUNED)
    assert source.info is not None
    assert dict(source.info.tune) == {"BLOCK_N": (32, 64, 96, 128), "BLOCK_K": (64, 1024)}
    (tmp_path / "ranged.py").write_text(TUNED.read_text().replace(GIVEN, '{"BLOCK_N": range(64, 129, 64)}'))
    source = frontend.load(tmp_path / "ranged.py")
    assert source.info is not None
    assert dict(source.info.tune) == {"BLOCK_N": (64, 128)}


@pytest.mark.parametrize(
    ("tune", "says"),
    [
        ('{"N": [64]}', "`N` is no tl.constexpr of the kernel (it has BLOCK_M, BLOCK_N, BLOCK_K)"),
        ('{"BLOK_N": [64]}', "`BLOK_N` is no tl.constexpr"),
        ('{"BLOCK_N": []}', "`BLOCK_N` has no sizes to choose from"),
        ('{"BLOCK_N": 64}', "`BLOCK_N` has 64 for a list of sizes"),
        ('{"BLOCK_N": "64"}', "`BLOCK_N` has '64' for a list of sizes"),
        ('{"BLOCK_N": [64, 64.0]}', "the size 64.0, which is no positive int"),
        ('{"BLOCK_N": [True]}', "the size True"),
        ('{"BLOCK_N": [64, -64]}', "the size -64"),
        ('{"BLOCK_N": [64, 128, 64]}', "has a size twice"),
        ('["BLOCK_N"]', "['BLOCK_N'] is no dict of tile sizes"),
    ],
)
def test_what_is_refused(tmp_path: Path, tune: str, says: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(TUNED.read_text().replace(GIVEN, tune))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "tune=" in text)
    with pytest.raises(InputError) as refusal:
        frontend.load(path)
    assert str(refusal.value).startswith(f"{path}:{line}: tune of kernel `tuned`: ")
    assert says in str(refusal.value)
