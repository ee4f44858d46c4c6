"""Limits that profiles are held to, absolute ones and against a baseline, and what came of it for people and for CI."""

from edgecompress.gate.budget import Budget, parse_budget, read_budget
from edgecompress.gate.judge import Finding, Judgement, State, Verdict, gate

__all__ = ["Budget", "Finding", "Judgement", "State", "Verdict", "gate", "parse_budget", "read_budget"]
