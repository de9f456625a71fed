"""`python -m recserve` is `recserve`."""

from __future__ import annotations

from recserve.cli.app import main

if __name__ == "__main__":
    main()
