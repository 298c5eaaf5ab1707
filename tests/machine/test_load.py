"""Machine files: what ships is complete and sourced, a user's file is checked key by key."""

import pytest

from twill.errors import InputError
from twill.ir.opcodes import ELEMENTWISE
from twill.machine import known, load, rows
from twill.machine.machine import QUANTITIES, UNITS


def test_what_ships():
    assert known() == ("blackwell", "hopper")


@pytest.mark.parametrize("name", ["hopper", "blackwell"])
def test_shipped_machine_is_complete_and_every_number_has_a_source(name):
    machine = load(name)
    assert machine.name == name
    assert set(machine.facts) == set(QUANTITIES)
    assert set(machine.units) == set(UNITS)
    assert set(machine.instructions) == ELEMENTWISE
    assert all(len(source) > 5 for _, _, _, source in rows(machine))
    assert len(rows(machine)) == len(QUANTITIES) + len(UNITS) + len(ELEMENTWISE)


def test_rows_name_value_unit_source():
    table = {name: (value, unit) for name, value, unit, _ in rows(load("hopper"))}
    assert table["mma_16bit"] == ("4096", "FLOP/cycle/SM")
    assert table["tma_bandwidth"] == ("34.6", "B/cycle/SM")
    assert table["units.TC"] == ("1", "at once")
    assert table["instructions.exp"] == ("1 float, 1 mufu", "per element")


def test_limits_of_hopper():
    limits = load("hopper").limits()
    assert limits.smem_bytes == 232448
    assert limits.registers_per_thread == 248  # 255, in steps of 8
    assert "TMEM" not in limits.units
    assert load("blackwell").limits().tmem_columns == 512


def test_unknown_machine_lists_the_known():
    with pytest.raises(InputError, match=r"unknown machine 'ampere'.*Known: blackwell, hopper") as error:
        load("ampere")
    assert error.value.exit_code == 2


def test_file_that_does_not_exist(tmp_path):
    with pytest.raises(InputError, match=r"none\.toml: cannot read the machine file"):
        load(tmp_path / "none.toml")


def test_base_and_override(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "hopper"\n[facts.mufu_rate]\nvalue = 32\nsource = "a wish"\n[facts]\nmma_issue = 20\n')
    mine, hopper = load(path), load("hopper")
    assert mine.name == "mine"
    assert mine.facts["mufu_rate"].value == 32
    assert mine.facts["mufu_rate"].source == "a wish"
    assert mine.facts["mma_issue"].source == str(path)  # a bare number's source is the file
    assert mine.facts["smem_bytes"] == hopper.facts["smem_bytes"]
    assert mine.digest != hopper.digest
    assert load(path).digest == mine.digest


BAD = {
    "not toml": ("facts = [", r"not a TOML file"),
    "unknown fact": ('base = "hopper"\nfacts.mufu = 3', r"unknown field `facts\.mufu`\. Known: .*mufu_rate"),
    "unknown top-level": ('base = "hopper"\ncolour = 1', r"unknown field `colour`"),
    "unknown unit": ('base = "hopper"\nunits.DSP = 1', r"unknown field `units\.DSP`\. Known: TC"),
    "unknown field": ('base = "hopper"\n[facts.mufu_rate]\nvalue = 3\nsauce = "x"', r"`facts\.mufu_rate\.sauce`"),
    "no source": ('base = "hopper"\n[facts.mufu_rate]\nvalue = 3', r"missing field `facts\.mufu_rate\.source`"),
    "wrong unit": (
        'base = "hopper"\n[facts.mufu_rate]\nvalue = 3\nunit = "GB/s"\nsource = "x"',
        r"`facts\.mufu_rate\.unit` is 'GB/s'; this number is in 'results/cycle/SM'",
    ),
    "negative": ('base = "hopper"\nfacts.signal_hop = -1', r"`facts\.signal_hop\.value` must be zero or more, not -1"),
    "zero rate": ('base = "hopper"\nfacts.mufu_rate = 0', r"`facts\.mufu_rate\.value` must be positive, not 0"),
    "not finite": ('base = "hopper"\nfacts.mufu_rate = inf', r"must be a finite number, not inf"),
    "not a number": ('base = "hopper"\nfacts.mufu_rate = true', r"must be a finite number, not True"),
    "not whole": ('base = "hopper"\nfacts.smem_bytes = 1.5', r"`facts\.smem_bytes\.value` must be a whole number"),
    "no base": ('name = "mine"\nfacts.sm_count = 3', r"missing field `facts\.capability`\. .*base"),
    "unknown base": ('base = "volta"', r"`base` is 'volta'.*Known: blackwell, hopper"),
    "bad pipe": (
        'base = "hopper"\n[instructions.exp2]\ntensor = 1\nsource = "x"',
        r"unknown field `instructions\.exp2\.tensor`",
    ),
    "section is no table": ('base = "hopper"\nfacts = 3', r"`facts` must be a table, not 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file_names_the_file_and_the_key(tmp_path, case):
    content, said = BAD[case]
    path = tmp_path / "bad.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=r"bad\.toml: .*" + said):
        load(path)
