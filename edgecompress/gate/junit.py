"""A verdict as JUnit XML, as GitLab and Jenkins read it: one suite, one test case a limit.

The form is that of Jenkins's JUnit plugin (https://github.com/jenkinsci/xunit-plugin, junit-10.xsd) and of GitLab's unit test reports:
a broken limit is a `failure`, one that cannot be checked an `error`.
"""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

from edgecompress.gate.judge import Finding, Judgement, State, Verdict

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 allows in no form (https://www.w3.org/TR/xml/#charsets)."""

_TAGS = {State.BROKEN: "failure", State.UNKNOWN: "error"}


def junit_text(verdict: Verdict, suite: str = "edgecompress gate") -> str:
    """The whole file, with a line end.

    Args:
        suite: what the suite is called.
    """
    counts = {
        "tests": str(verdict.limits),
        "failures": str(verdict.count(State.BROKEN)),
        "errors": str(verdict.count(State.UNKNOWN)),
    }
    root = ElementTree.Element("testsuites", {"name": suite, **counts})
    element = ElementTree.SubElement(root, "testsuite", {"name": suite, **counts, "skipped": "0", "time": "0"})
    seen: Counter[tuple[str, str]] = Counter()
    for judgement in verdict.judgements:
        for finding in judgement.findings:
            _add_case(element, judgement, finding, seen)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ElementTree.Element, judgement: Judgement, finding: Finding, seen: Counter[tuple[str, str]]) -> None:
    # Readers know a test again by these two names, so they hold no number that changes from run to run. A dot would start a package.
    class_name = _text(judgement.title or judgement.name).replace(".", "_")
    name = _text(f"{finding.key} {finding.limit}")
    seen[class_name, name] += 1
    number = f" #{seen[class_name, name]}" if seen[class_name, name] > 1 else ""
    case = ElementTree.SubElement(suite, "testcase", {"classname": class_name, "name": name + number, "time": "0"})
    lines = [f"{finding.key}: {finding.measured or 'unknown'}, {finding.reason}", f"profile: {judgement.name}", *judgement.doubts]
    if finding.state is State.HELD:
        ElementTree.SubElement(case, "system-out").text = _text("\n".join(lines))
        return
    attributes = {"message": _text(lines[0]), "type": f"limit {finding.state.value}"}
    ElementTree.SubElement(case, _TAGS[finding.state], attributes).text = _text("\n".join(lines))


def _text(text: str) -> str:
    return _NOT_XML.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
