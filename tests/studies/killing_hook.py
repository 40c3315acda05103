"""A hook that kills its process, as the system does when memory runs out."""

from __future__ import annotations

import os
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class KillingHook(Hook):
    """Kill this process in the first iteration."""

    def after_train_iter(self, *_, **__) -> None:
        """Kill this process."""
        print('about to die', flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
