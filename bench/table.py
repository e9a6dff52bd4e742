"""The rows of `make bench`: what was measured, beside what, against which target; as a table and as JSON lines."""

import json
from dataclasses import dataclass

COLUMNS = ("", "median", "p99", "unit", "ratio", "to", "target", "")


@dataclass
class Target:
    """A goal: an absolute value on the machine of limits.md, and the ratio to the reference that binds on any other."""

    value: float = None
    ratio: float = None
    higher_is_better: bool = False

    def text(self, unit):
        sign = ">=" if self.higher_is_better else "<="
        words = []
        if self.value is not None:
            words.append(f"{sign} {number(self.value)} {unit}")
        if self.ratio is not None:
            words.append(f"{sign} {self.ratio:g}x")
        return " or ".join(words)

    def is_met(self, value, ratio):
        def holds(found, wanted):
            if found is None or wanted is None:
                return False
            return found >= wanted if self.higher_is_better else found <= wanted
        return holds(value, self.value) or holds(ratio, self.ratio)


@dataclass
class Row:
    """One line of the table. `reference` names the row of the same run that `ratio` is taken to."""

    group: str
    name: str
    median: float
    unit: str
    p99: float = None
    reference: str = ""
    ratio: float = None
    target: Target = None
    note: str = ""

    def verdict(self):
        if self.target is None:
            return ""
        return "met" if self.target.is_met(self.median, self.ratio) else "MISSED"

    def cells(self):
        return (self.name, number(self.median), number(self.p99), self.unit,
                f"{self.ratio:.2f}x" if self.ratio is not None else "", self.reference,
                self.target.text(self.unit) if self.target else "", self.verdict())

    def as_json(self):
        target = None
        if self.target:
            target = {"value": self.target.value, "ratio": self.target.ratio, "met": self.verdict() == "met"}
        return json.dumps({"kind": "result", "group": self.group, "name": self.name, "median": self.median,
                           "p99": self.p99, "unit": self.unit, "reference": self.reference, "ratio": self.ratio,
                           "target": target, "note": self.note})


def number(value):
    """Three significant digits at least, thousands apart: readable in a column."""
    if value is None:
        return ""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


def print_table(rows):
    """Prints the rows in columns, a blank line and a heading before each group."""
    widths = [max(len(cell) for cell in column)
              for column in zip(COLUMNS, *[row.cells() for row in rows], strict=True)]
    right = {1, 2, 4}

    def line(cells):
        return "  ".join(cell.rjust(width) if index in right else cell.ljust(width)
                         for index, (cell, width) in enumerate(zip(cells, widths, strict=True))).rstrip()

    print(line(COLUMNS))
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            print(f"\n{group}")
        print(line(row.cells()))
    print(flush=True)
