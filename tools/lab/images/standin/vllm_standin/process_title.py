from __future__ import annotations


def set_title(title: str) -> None:
    """The name by which people and tests look for vLLM's processes."""
    try:
        # Ray brings it along.
        from ray._raylet import setproctitle
    except ImportError:
        return
    setproctitle(title)
