"""The command `recserve`: one file per command, wired in `app.py`.

A command's file imports what it needs inside its function: `recserve --help` loads neither torch nor numpy.
"""
