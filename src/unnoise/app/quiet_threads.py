"""How the threads of a program that is all ours wait: set before PyTorch loads."""

from __future__ import annotations

import os


def quiet_threads() -> None:
    """Have threads that wait sleep; a variable that the user has set stays."""
    # Spinning threads made steps 2 to 25 times slower when another program held a core. OpenMP
    # reads this when PyTorch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # NumPy's products are small here; when another program held a core of two, the threads of
    # OpenBLAS made looking at the noise of an image take 9 s instead of 0.6 s.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")  # 3D pooling is missing on MPS
