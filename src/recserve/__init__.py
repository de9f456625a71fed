"""recserve: the open, self-hosted recommendation scoring server."""

__version__ = "0.1.0"
