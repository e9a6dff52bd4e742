#!/usr/bin/python3
"""Prints the roots that merkle_tree_test.cpp expects, by the recursive definition in RFC 6962, section 2.1.

Usage: tests/event_log/merkle_vectors.py           prints the rows
       tests/event_log/merkle_vectors.py --check   exit code 1 if the test's rows are others

The definition itself is held against the roots of Certificate Transparency's reference tree over its eight test leaves.
"""

import hashlib
import re
import sys
from pathlib import Path

SIZES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 127, 255, 1000]

# From the tests of Google's Certificate Transparency: the leaves, and the root after each of them.
REFERENCE_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                    "606162636465666768696a6b6c6d6e6f"]
REFERENCE_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def sha256(data):
    return hashlib.sha256(data).digest()


def tree_hash(leaves):
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0])
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + tree_hash(leaves[:split]) + tree_hash(leaves[split:]))


def main():
    reference = [bytes.fromhex(leaf) for leaf in REFERENCE_LEAVES]
    for count, root in enumerate(REFERENCE_ROOTS, 1):
        if tree_hash(reference[:count]).hex() != root:
            print(f"merkle_vectors.py: the definition is wrong at {count} leaves", file=sys.stderr)
            return 1
    rows = [(size, tree_hash([sha256(str(i).encode()) for i in range(size)]).hex()) for size in SIZES]
    if sys.argv[1:] != ["--check"]:
        for size, root in rows:
            print(f'    {{{size}, "{root}"}},')
        return 0
    test = Path(__file__).with_name("merkle_tree_test.cpp").read_text(encoding="utf-8")
    found = [(int(size), root) for size, root in re.findall(r'\{(\d+), "([0-9a-f]{64})"\}', test)]
    if found != rows:
        print("merkle_vectors.py: merkle_tree_test.cpp has other rows", file=sys.stderr)
        return 1
    print(f"{len(rows)} roots agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
