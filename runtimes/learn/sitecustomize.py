"""Learn mode, in the sandbox: shows which environment variables a Python program asks for.

Python reads the whole environment when it starts, so that the C library is never asked for a name afterwards. A read of
os.environ that finds nothing asks the kernel for a path that stands for the name (sandbox/path_watch.h), which is never
there.
Imported by Python by itself, because its folder is in PYTHONPATH. Threads: any.
"""

import os

_read = os._Environ.__getitem__


def _read_or_show(self, key):
    try:
        return _read(self, key)
    except KeyError:
        name = os.fsdecode(key)
        if "\0" not in name and "/" not in name:
            os.access("/liongate/environment/" + name, os.F_OK)
        raise


os._Environ.__getitem__ = _read_or_show
