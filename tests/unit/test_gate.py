"""The gate: what a budget may say, what is held, broken or unknown, who is to blame, and what CI reads."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgecompress.cli import main
from edgecompress.conditions import Validity
from edgecompress.errors import UserError
from edgecompress.gate import Finding, State, gate, parse_budget
from edgecompress.gate.facts import shown_amount, shown_percent
from edgecompress.profile import Accuracy, Latency, Memory, Parity, PlanEntry, Profile, ProfiledModel, ProfiledOp, write_profile
from edgecompress.store import profiles

SIZES = {"code_bytes": 100, "model_bytes": 50, "harness_bytes": 25, "flash_bytes": 175}
RAM = {"arena_bytes": 64, "static_ram_bytes": 0, "stack_bytes": 300, "stack_bound_bytes": 320}


def latency(p50: float | None, unit: str = "instructions", **changes) -> Latency:
    """A latency whose runs were all alike."""
    facts = {"unit": unit, "min": 1, "p50": p50, "p90": p50, "p99": p50, "first": 1, "runs": 3}
    return Latency(**{**facts, **changes})


def profile(p50: float = 1000, *, target: str = "cortex-m4", name: str = "toy", memory: dict[str, int] | None = None, **changes) -> Profile:
    """A profile that knows most facts; its two ops share the latency 60 to 40."""
    facts = {
        "target": target,
        "model": ProfiledModel(name=name, sha256=None, macs=None, parameters=None),
        "engine": "aot",
        "toolchain": None,
        "latency": latency(p50),
        "memory": Memory(**{**SIZES, **RAM, **(memory or {})}),
        "ops": (
            ProfiledOp(name="a", kind="CONV_2D", macs=None, latency=p50 * 0.6),
            ProfiledOp(name="b", kind="ADD", macs=None, latency=p50 * 0.4),
        ),
        "parity": Parity(reference="TFLM host", inputs=3, mismatched_bytes=0, largest_difference=0),
        "accuracy": Accuracy(value=0.97, metric="top-1", set="digits", n=497),
    }
    return Profile(**{**facts, **changes})


def judged(budget: str, one: Profile, *against: Profile) -> dict[str, Finding]:
    """Findings by their limit, as `key limit`."""
    verdict = gate(parse_budget(budget, "b.toml"), [("p", one)], against=against)
    return {f"{finding.key} {finding.limit}": finding for finding in verdict.judgements[0].findings}


def only(budget: str, one: Profile, *against: Profile) -> Finding:
    """The only finding."""
    (finding,) = judged(budget, one, *against).values()
    return finding


@pytest.mark.parametrize(
    ("limit", "state"),
    [
        ('flash = "<= 175 B"', State.HELD),
        ('flash = "<= 174 B"', State.BROKEN),
        ('flash = "<=0.175 KB"', State.HELD),
        ('flash = "<= 0.1709 KiB"', State.HELD),
        ('flash = "<= 1_000 B"', State.HELD),
        ('code = "<= 99 B"', State.BROKEN),
        ('ram = "<= 364 B"', State.HELD),
        ('ram = "<= 363 B"', State.BROKEN),
        ('stack_bound = "<= 319 B"', State.BROKEN),
        ('latency = "<= 1000 instructions"', State.HELD),
        ('latency = "<= 0.999 k instructions"', State.BROKEN),
        ('latency = "<= 0.001 M  instructions"', State.HELD),
        ('latency_p99 = "<= 999 instructions"', State.BROKEN),
        ('latency = "<= 1000 us"', State.UNKNOWN),
        ('latency = "<= 1 s"', State.UNKNOWN),
        ('latency_mean = "<= 1 M instructions"', State.UNKNOWN),
        ('accuracy = ">= 0.97"', State.HELD),
        ('accuracy = ">= 0.970001"', State.BROKEN),
        ('energy = "<= 1 mJ"', State.UNKNOWN),
        ('peak_rss = "<= 1 MB"', State.UNKNOWN),
        ("parity = true", State.HELD),
    ],
)
def test_absolute_limits(limit, state):
    """Each fact against its limit, exactly at the bound too; what is missing or of another unit is never held."""
    assert only(limit, profile()).state is state


@pytest.mark.parametrize(
    ("limit", "p50", "state"),
    [
        ("<= +3 %", 1030, State.HELD),
        ("<= +3%", 1030.5, State.BROKEN),
        ("<=+3%", 1029, State.HELD),
        ("<= + 3 %", 1031, State.BROKEN),
        ("<= -10 %", 900, State.HELD),
        ("<= -10 %", 901, State.BROKEN),
        ("<= +0.1 %", 1001, State.HELD),
        ("<= +50 instructions", 1050, State.HELD),
        ("<= +50 instructions", 1051, State.BROKEN),
        ("<= +0 instructions", 1000, State.HELD),
        ("<= -1 k instructions", 0, State.HELD),
        ("<= +50 us", 1000, State.UNKNOWN),
    ],
)
def test_relative_limits(limit, p50, state):
    """Signed amounts are against the baseline's number, in percent or in the unit, exactly at the bound too."""
    assert only(f'latency = "{limit}"', profile(p50), profile(1000)).state is state


def test_a_broken_limit_says_by_how_much_and_what_grew():
    """The excess, its share, and the section or op that gained most on the baseline."""
    base, new = profile(1000), profile(1100, memory={"code_bytes": 130, "model_bytes": 60, "flash_bytes": 215})
    found = judged('flash = "<= 200 B"\nlatency = "<= +3 %"\nram = "<= 300 B"', new, base)
    assert found["flash <= 200 B"].reason == "at most 200 B: over by 15 B (7.5 %); code grew most, by 30 B (30.0 %)"
    assert found["latency <= +3 %"].reason == (
        "at most 1,030 instructions, the baseline being 1,000 instructions: over by 70 instructions (6.8 %); "
        "op a (CONV_2D) grew most, by 60 instructions (10.0 %)"
    )
    assert found["ram <= 300 B"].reason.endswith("no part of it grew; stack is largest, 300 B")


def test_without_a_baseline_the_largest_is_named():
    """An absolute limit needs no baseline to say where to look."""
    assert only('latency = "<= 10 instructions"', profile()).reason.endswith("op a (CONV_2D) is largest, 600 instructions")
    assert only('flash = "<= 10 B"', profile()).reason.endswith("code is largest, 100 B")


def test_ops_of_one_name_and_new_ops_are_told_apart():
    """The second op of a name is aligned with the second, and an op that the baseline lacks is called new."""
    ops = [ProfiledOp(name="x", kind="ADD", macs=None, latency=latency) for latency in (1, 5, 2)]
    base = profile(8, ops=tuple(ops))
    longer = profile(20, ops=(ops[0], ops[1].model_copy(update={"latency": 17}), ops[2]))
    assert "op x #2 (ADD) grew most, by 12 instructions" in only('latency = "<= +0 %"', longer, base).reason
    more = profile(20, ops=(*ops, ProfiledOp(name="y", kind="MUL", macs=None, latency=12)))
    assert "op y (MUL) is new, 12 instructions" in only('latency = "<= +0 %"', more, base).reason


def test_the_arena_is_blamed_on_a_tensor_of_its_fullest_step():
    """Of the tensors that live where most bytes do, the largest is named."""
    plan = (
        PlanEntry(tensor="in", offset=0, bytes=50, first_op=0, last_op=1),
        PlanEntry(tensor="mid", offset=50, bytes=60, first_op=1, last_op=2),
        PlanEntry(tensor="late", offset=0, bytes=49, first_op=2, last_op=3),
    )
    assert only('arena = "<= 10 B"', profile(plan=plan)).reason.endswith("tensor mid at step 1 is largest, 60 B")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"target": "cortex-m7"}, "cortex-m7"),
        ({"name": "other"}, "other on cortex-m4"),
        ({"engine": "tflm"}, "(tflm)"),
        ({"latency": latency(1000, "us")}, "baseline is in us"),
        ({"latency": latency(None, mean=3.0)}, "baseline has no such number"),
    ],
)
def test_a_baseline_of_something_else_compares_with_nothing(other, words):
    """Another target, model, engine or unit, or a fact that it lacks, leaves the limit unknown and says so."""
    found = only('latency = "<= +3 %"', profile(), profile(**other))
    assert found.state is State.UNKNOWN
    assert words in found.reason


def test_each_profile_is_held_against_its_own_baseline():
    """With several targets each has its baseline; two for the same one are one too many."""
    new = [("m4", profile(1000)), ("m7", profile(900, target="cortex-m7"))]
    bases = [profile(880, target="cortex-m7"), profile(1000)]
    budget = parse_budget('latency = "<= +1 %"', "b.toml")
    states = [one.findings[0].state for one in gate(budget, new, against=bases).judgements]
    assert states == [State.HELD, State.BROKEN]
    assert "2 baselines" in gate(budget, new[:1], against=[profile(), profile()]).judgements[0].findings[0].reason


def test_a_baseline_that_matches_nothing_is_told_even_when_none_is_needed():
    """Absolute limits hold without it; that it was given in vain is no silence."""
    found = judged('flash = "<= 1 MB"', profile(), profile(target="local"))
    assert [finding.state for finding in found.values()] == [State.HELD, State.UNKNOWN]


def test_accuracies_compare_on_one_set_only():
    """A difference in points, and only of the same measure on the same samples."""
    base = profile(accuracy=Accuracy(value=0.974, metric="top-1", set="digits", n=497))
    assert only('accuracy = ">= -0.004"', profile(), base).state is State.HELD
    assert only('accuracy = ">= -0.0039"', profile(), base).state is State.BROKEN
    other = profile(accuracy=Accuracy(value=0.974, metric="top-1", set="cifar", n=497))
    assert only('accuracy = ">= -0.1"', profile(), other).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("parity", "state"),
    [
        (None, State.UNKNOWN),
        ({"inputs": 0, "mismatched_bytes": 0, "largest_difference": 0}, State.UNKNOWN),
        ({"inputs": 3, "mismatched_bytes": 4, "largest_difference": 1}, State.BROKEN),
        ({"inputs": 3, "mismatched_bytes": 4, "largest_difference": 1, "tolerance": 1}, State.HELD),
    ],
)
def test_parity_was_looked_at(parity, state):
    """Outputs that nobody compared are not equal ones; a runtime's tolerance counts."""
    made = None if parity is None else Parity(reference="TFLM host", **parity)
    assert only("parity = true", profile(parity=made)).state is state


def test_a_table_replaces_limits_on_its_target():
    """A key in a target's table stands for the general one, an empty list lifts it, and the others stay."""
    general = 'flash = "<= 1 B"\nlatency = "<= 1 us"\nparity = true\n'
    budget = general + '[target.cortex-m4]\nlatency = "<= 1 M instructions"\nflash = []\nparity = false'
    assert {key: finding.state for key, finding in judged(budget, profile()).items()} == {"latency <= 1 M instructions": State.HELD}
    assert set(judged(budget, profile(target="cortex-m7"))) == {"flash <= 1 B", "latency <= 1 us", "parity true"}


def test_a_budget_without_a_limit_for_the_target_is_no_pass():
    """A mistyped table's name does not open the gate."""
    assert only('[target.cortex-m44]\nflash = "<= 1 B"', profile()).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("", "holds no limit", "flash"),
        ("parity = false", "holds no limit", "flash"),
        ("[target.x]\nflash = []", "holds no limit", "flash"),
        ("x = [", "not TOML", "gate.md"),
        ("x = " + "[" * 5000, "not TOML", "gate.md"),
        ('flsh = "<= 1 B"', "no limit 'flsh'", "did you mean flash?"),
        ('latency_p95 = "<= 1 us"', "no limit 'latency_p95'", "did you mean latency_p99?"),
        ('zzz = "<= 1 B"', "no limit 'zzz'", "limits are flash, code"),
        ('[targets.x]\nflash = "<= 1 B"', "'targets'", "did you mean target?"),
        ('[target.x]\nflas = "<= 1 B"', "target.x: there is no limit 'flas'", "flash"),
        ('[target.x.target.y]\nflash = "<= 1 B"', "target.x: there is no limit 'target'", "did you mean"),
        ("target = 3", "expected tables", "gate.md"),
        ("flash = 65536", "65536 came", "quotes"),
        ("flash = true", "True came", "quotes"),
        ("flash = []", "no limit", "leave"),
        ('flash = ["<= 1 B", 3]', "3 came", "quotes"),
        ('flash = "64 KB"', "is no limit", "<= 64 KB"),
        ('flash = "< 64 KB"', "limited with <=", "<= 64 KB"),
        ('flash = ">= 64 KB"', "limited with <=", "<= 64 KB"),
        ('accuracy = "<= 0.9"', "limited with >=", ">= 0.95"),
        ('flash = "<= 64"', "none came", "<= 64 KB"),
        ('flash = "<= 64 kb"', "'kb' came", "did you mean KB?"),
        ('flash = "<= 64 us"', "'us' came", "<= 64 KB"),
        ('flash = "<= 3 %"', "needs its sign", "+3 %"),
        ('flash = "<= +3,5 %"', "is no limit", "<= +2 %"),
        ('flash = "<= +3 percent"', "'percent' came", "<= +2 %"),
        ('flash = "<= 1e3 B"', "is no limit", "<= 64 KB"),
        ('flash = "<= 0x10 B"', "is no limit", "<= 64 KB"),
        ('flash = "<= .5 KB"', "is no limit", "<= 64 KB"),
        ('latency = "<= nan us"', "is no limit", "<= 20 ms"),
        ('latency = "<= 5 instruction"', "'instruction' came", "did you mean instructions?"),
        ('accuracy = ">= 95 %"', "ambiguous", ">= 0.95"),
        ('accuracy = ">= -1 %"', "ambiguous", ">= -0.01"),
        ('parity = "yes"', "true or false", "parity = true"),
        (f'flash = "<= {"9" * 5000} B"', "is no limit", "<= 64 KB"),
    ],
)
def test_a_wrong_budget_is_one_sentence(text, words, hint):
    """Whatever a budget says that is no limit is refused by name, with the next action."""
    with pytest.raises(UserError) as caught:
        parse_budget(text, "b.toml")
    assert words in caught.value.message
    assert hint in caught.value.hint
    assert len(caught.value.message) < 250


def test_amounts_are_shown_as_exactly_as_they_are():
    """No excess is shown as nothing."""
    shown = [shown_amount(Fraction(text), "B") for text in ("1234567", "180.25", "0.0000001", "-0.5")]
    assert shown == ["1,234,567 B", "180.25 B", "1e-07 B", "-0.5 B"]
    assert [shown_percent(Fraction(text)) for text in ("0.123", "0.00001", "0")] == ["12.3 %", "0.001 %", "0.0 %"]
    assert shown_percent(Fraction(10) ** 400)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a baseline, a slower profile, a damaged one and one of NaN, and a budget."""
    write_profile(profile(1000), tmp_path / "base.json")
    name = "ev\x1b[31mil\n|<b>]]>\ufffe"
    write_profile(profile(1100, name=name, validity=Validity(valid=False, reasons=("it was hot",))), tmp_path / "new.json")
    (tmp_path / "bad.json").write_text("{}")
    (tmp_path / "nan.json").write_text((tmp_path / "base.json").read_text().replace('"p50": 1000.0', '"p50": NaN'))
    (tmp_path / "budget.toml").write_text('flash = "<= 1 KB"\nlatency = "<= 1_050 instructions"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGECOMPRESS_STORE", str(tmp_path / "store"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["base.json"], 0),
        (["base.json", "base.json"], 0),
        (["new.json"], 3),
        (["bad.json"], 2),
        (["nan.json"], 2),
        (["base.json", "bad.json"], 2),
        (["new.json", "bad.json"], 3),
        (["gone.json"], 2),
        ([], 2),
        (["base.json", "--against", "bad.json"], 2),
        (["base.json", "--against", "new.json"], 2),
        (["base.json", "--against", "base.json"], 0),
        (["base.json", "--junit", "base.json"], 2),
        (["base.json", "--junit", "x", "--markdown", "x"], 2),
        (["@target=cortex-m4"], 2),
    ],
)
def test_exit_codes(files, arguments, code, capsys):
    """0 all held, 3 one broken, 2 when none is and something cannot be checked; one sentence on stderr unless all held."""
    before = Path("base.json").read_text()
    assert main(["gate", "budget.toml", *arguments]) == code
    shown = capsys.readouterr()
    assert bool(shown.err) == bool(code)
    assert "Traceback" not in shown.err
    assert "\x1b" not in shown.out + shown.err
    assert Path("base.json").read_text() == before


def test_profiles_and_baselines_come_from_a_store_too(files, capsys):
    """A query stands for the profiles that it finds."""
    profiles(Path("s")).add([("base", Path("base.json").read_text())], tags=["release"])
    Path("relative.toml").write_text('latency = "<= +3 %"')
    assert main(["gate", "relative.toml", "@tag=release", "--against", "@model=toy", "--store", "s"]) == 0
    assert "toy on cortex-m4 (aot)" in capsys.readouterr().out


def test_junit_is_what_gitlab_and_jenkins_read(files):
    """Counts agree with the cases, names are unique, every case has its attributes, and no name breaks the XML."""
    assert main(["gate", "budget.toml", "base.json", "new.json", "new.json", "bad.json", "--junit", "out/j.xml"]) == 3
    root = ElementTree.fromstring(Path("out/j.xml").read_bytes())
    assert root.tag == "testsuites"
    (suite,) = root
    cases = list(suite)
    assert {case.tag for case in cases} == {"testcase"}
    assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases) == 7
    outcomes = [[child.tag for child in case] for case in cases]
    assert outcomes.count(["failure"]) == 2
    assert outcomes.count(["error"]) == 1
    assert outcomes.count(["system-out"]) == 4
    for element in (root, suite):
        assert [element.attrib[name] for name in ("tests", "failures", "errors")] == ["7", "2", "1"]
    assert all(set(child.attrib) == {"message", "type"} for case in cases for child in case if child.tag != "system-out")
    assert "it was hot" in root.findall(".//failure")[0].text


def test_another_program_reads_the_junit_file(files):
    """junitparser finds what was written: its own count of cases, failures and errors is the file's, and each outcome has its message."""
    junitparser = pytest.importorskip("junitparser", reason="needs junitparser: pip install junitparser")
    assert main(["gate", "budget.toml", "base.json", "new.json", "bad.json", "--junit", "j.xml"]) == 3
    read = junitparser.JUnitXml.fromfile("j.xml")
    (suite,) = read
    declared = [(each.tests, each.failures, each.errors) for each in (read, suite)]
    assert declared == [(5, 1, 1)] * 2 and suite.skipped == 0
    suite.update_statistics()
    read.update_statistics()
    assert [(each.tests, each.failures, each.errors) for each in (read, suite)] == declared
    outcomes = {case.name: [(type(result).__name__, result.type) for result in case.result] for case in suite if case.result}
    assert outcomes == {"latency <= 1_050 instructions": [("Failure", "limit broken")], "profile readable": [("Error", "limit unknown")]}
    broken = next(result for case in suite for result in case.result if result.type == "limit broken")
    assert "over by 50 instructions" in broken.message and "it was hot" in broken.text
    held = [case.classname for case in suite if case.is_passed]
    assert held == ["toy on cortex-m4 (aot)", "toy on cortex-m4 (aot)", "ev\\x1b[31mil\n|<b>]]>\\ufffe on cortex-m4 (aot)"]


SCHEMA = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {
            "name",
            "tests",
            "failures",
            "errors",
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
            "version",
        },
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "testcase": ({"name", "classname", "time", "group"}, {"skipped", "error", "failure", "system-out", "system-err", "properties"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "system-out": (set(), set()),
}
"""Elements of Jenkins's junit-10.xsd: attributes and children that each may have."""


def test_junit_has_nothing_that_the_schema_does_not_name(files):
    """Every element, attribute and child is one of junit-10.xsd; required ones are there, counts and times are numbers."""
    assert main(["gate", "budget.toml", "base.json", "new.json", "bad.json", "--junit", "j.xml"]) == 3
    for element in ElementTree.parse("j.xml").iter():
        attributes, children = SCHEMA[element.tag]
        assert set(element.attrib) <= attributes and {child.tag for child in element} <= children
        for name in {"tests", "failures", "errors", "skipped", "time"} & set(element.attrib):
            assert element.attrib[name].isdecimal()
        required = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name", "classname"}}
        assert required.get(element.tag, set()) <= set(element.attrib)


def test_markdown_is_a_page_that_no_name_can_break(files, capsys):
    """Broken limits come first, and what a profile says is text: no HTML, no table cell more, no control character."""
    assert main(["gate", "budget.toml", "new.json", "--markdown", "s.md"]) == 3
    page = Path("s.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert rows[1].startswith("| **broken** | latency")
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert r"ev\\x1b\[31mil\\n\|\<b\>" in page
    assert "it was hot" in page
    capsys.readouterr()
    main(["gate", "budget.toml", "new.json", "--markdown", "-"])
    assert capsys.readouterr().out == page


def test_results_are_written_when_the_gate_is_closed(files, capsys):
    """CI shows the result of a broken gate above all."""
    assert main(["gate", "budget.toml", "new.json", "--junit", "j.xml", "--markdown", "s.md"]) == 3
    assert Path("j.xml").exists()
    assert Path("s.md").exists()
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "2 limits: 1 held, 1 broken"
    assert json.loads(Path("base.json").read_text())["target"] == "cortex-m4"
