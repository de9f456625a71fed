"""The commands of `recserve items`: one file each, wired in `app.py`."""
