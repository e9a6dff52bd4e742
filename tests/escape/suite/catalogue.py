"""All checks, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence

from . import file_checks, kernel_checks, network_checks, process_checks, protocol_checks, unlisted_checks
from .check import Check

CHECKS: list[Check] = [*kernel_checks.CHECKS, *file_checks.CHECKS, *network_checks.CHECKS, *process_checks.CHECKS,
                       *protocol_checks.CHECKS, *unlisted_checks.CHECKS]


def chosen(ids: Sequence[str], is_short: bool) -> list[Check]:
    unknown = set(ids) - {check.id for check in CHECKS}
    if unknown:
        raise SystemExit(f"run.py: no such check: {', '.join(sorted(unknown))}")
    return [check for check in CHECKS if (check.id in ids or not ids) and (check.short or not is_short)]
