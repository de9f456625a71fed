"""Where instances run. The contract is in backend.py; each backend is one file or folder here."""
