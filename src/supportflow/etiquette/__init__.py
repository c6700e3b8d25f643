"""The gate: rules that every outgoing text passes in its conversation, whoever wrote it."""

from supportflow.etiquette.gate import RULES, Context, Rule, blocking, check

__all__ = ["RULES", "Context", "Rule", "blocking", "check"]
