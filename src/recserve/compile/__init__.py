"""Makes machine code of exported models, ahead of serving, and proves that it answers the same.

    the export ──sources──▶ flat graph ──package──▶ machine code ──gate──▶ compiled/<machine key>/
                                                                    ▲
                                                             drawn requests

`bundle.py` writes the steps down in order. Another way to compile is another file between graph and package.
"""
