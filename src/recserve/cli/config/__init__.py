"""The commands of `recserve config`: one file each, wired in `app.py`."""
