"""docs/security.md and the escape suite name the same checks: no promise without a check, and none without it."""

from __future__ import annotations

import re
import sys

from harness import paths

sys.path.insert(0, str(paths.ROOT / "tests" / "escape"))
from suite import catalogue  # noqa: E402  (it lies beside the suite's driver)

IDS = re.compile(r"\b[KFNPMX]\d\d\b")
PAGE = (paths.ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found[1]


def promises() -> dict[str, set[str]]:
    rows = [row.strip("|").split("|") for row in section("Promises").splitlines() if row.startswith("| ")]
    return {row[0].strip(): set(IDS.findall(row[1])) for row in rows if row[0].strip() != "promise"}


def test_each_promise_names_its_checks_and_all_of_them_exist() -> None:
    checks = {check.id for check in catalogue.CHECKS}
    assert len(promises()) > 15
    for promise, named in promises().items():
        assert named, f"no check: {promise}"
        assert named <= checks, f"{promise}: no such check: {named - checks}"


def test_each_check_of_the_suite_stands_behind_a_promise() -> None:
    named = set().union(*promises().values())
    assert {check.id for check in catalogue.CHECKS} - named == set()


def test_each_check_is_listed_once_with_a_class_of_the_page() -> None:
    ids = [check.id for check in catalogue.CHECKS]
    assert len(ids) == len(set(ids))
    classes = set(re.findall(r"^\| (\w) \|", section("Trying it"), re.MULTILINE))
    assert {check.kind for check in catalogue.CHECKS} <= classes
