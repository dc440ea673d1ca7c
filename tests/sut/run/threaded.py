"""Starts a thread when it is imported, as torch's compiler does on a GPU's host."""

from __future__ import annotations

import threading
import time

threading.Thread(target=time.sleep, args=(60.0,), daemon=True).start()
