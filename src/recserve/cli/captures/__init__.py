"""The commands of `recserve captures`: one file each, wired in `app.py`."""
