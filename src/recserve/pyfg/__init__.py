"""A drop-in for `import pyfg`, the feature generator that TorchEasyRec's training calls.

fg.json, Arrow columns ──FgArrowHandler──▶ arrays, by the native plan that serves

`python -m recserve.pyfg install` lets `import pyfg` find it; a script of one's own may say
`sys.modules["pyfg"] = recserve.pyfg` instead. The files in lib/ stand where TorchEasyRec looks for the
libraries of `custom_feature` operators, which are built in here.
"""

from recserve.pyfg.handler import FgArrowHandler, Status, set_env, unset_env
from recserve.pyfg.operator import FeatureFactory
from recserve.pyfg.outputs import FeatureOutput

__all__ = ["FeatureFactory", "FeatureOutput", "FgArrowHandler", "Status", "set_env", "unset_env"]
