"""Limits of cgroup v2 under Delegate=yes."""
