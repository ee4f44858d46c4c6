"""What pruning bought is said with its measured ratio, and so is what it did not buy."""

from dataclasses import replace

from edgecompress.profile import Latency, Memory, Profile, ProfiledModel
from edgecompress.report.variants import VariantFacts, compare_variants, pruning_note


def _variant(name, gzip_bytes, instructions):
    latency = Latency(
        unit="instructions", min=instructions, p50=instructions, p90=instructions, p99=instructions, first=instructions, runs=3
    )
    model = ProfiledModel(name=name, sha256=None, macs=None, parameters=None)
    profile = Profile(target="cortex-m4", model=model, engine="aot", toolchain=None, latency=latency, memory=Memory())
    return VariantFacts(name, 0.99, 1000, gzip_bytes, {"cortex-m4": profile})


def test_no_gain_on_the_core_is_said_plainly():
    """Equal instructions are not called faster."""
    note = pruning_note(_variant("int8", 800, 1000), _variant("pruned_int8", 200, 1000))
    assert "4.00 times smaller" in note
    assert "nothing faster" in note


def test_a_gain_on_the_core_is_given_as_a_ratio():
    """Fewer instructions come with their ratio."""
    assert "0.50 times its instructions." in pruning_note(_variant("int8", 800, 1000), _variant("pruned_int8", 200, 500))


def test_a_gain_on_some_cores_names_them():
    """Where only some cores gain, they are named, and the others are not passed over."""
    dense, pruned = _variant("int8", 800, 1000), _variant("pruned_int8", 200, 500)
    both = [replace(v, profiles={**v.profiles, "cortex-m0plus": _variant("", 1, 1000).profiles["cortex-m4"]}) for v in (dense, pruned)]
    note = pruning_note(*both)
    assert "on cortex-m4 it takes at most 0.50 times its instructions, elsewhere the kernels multiply by zeros too" in note


def test_a_form_without_a_core_has_an_empty_cell():
    """Float has accuracy and sizes, and never a number for a core."""
    comparison = compare_variants([VariantFacts("float", 0.99, 4000, 3000, {}), _variant("int8", 800, 1000)])
    latency = next(row for row in comparison.rows if row.metric.startswith("cortex-m4"))
    assert latency.cells[0].text == ""
    assert latency.cells[1].text
