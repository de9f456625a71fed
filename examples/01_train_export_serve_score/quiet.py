"""Import this first: torch's notes to its developers stay out of the story, and its threads do not spin."""

import logging
import os
import warnings

# Threads that wait for one another should sleep; torch's would spin, on cores that other work may need.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# TorchScript is deprecated, a helper was renamed: neither is a reader's concern.
warnings.simplefilter("ignore")
logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
