"""The memory of large buffers that come and go: set once, when a process starts."""

from __future__ import annotations

import ctypes

from recserve.cores import cores


def tune_allocator() -> None:
    """Let glibc keep what it frees: the buffers of one request, or batch, are those of the next.

    By default each large tensor is a fresh mapping: thousands of page faults per model call. And by default
    threads share eight arenas per core, each of which keeps the most that it ever held: with threads that
    come and go, as those that refresh items do, memory grows for an hour before it stays (`make soak-items`).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return  # not glibc
    m_trim_threshold, m_mmap_threshold, m_arena_max = -1, -3, -8
    mallopt(m_mmap_threshold, 32 * 2**20)  # the largest that glibc takes
    mallopt(m_trim_threshold, 256 * 2**20)
    mallopt(m_arena_max, max(4, 2 * cores()))
