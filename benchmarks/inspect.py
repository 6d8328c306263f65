"""What ``unnoise inspect`` finds, against the truth: the entry point of `inspection`.

    python benchmarks/inspect.py

Python puts the folder of a script in front of its module path, so every ``import inspect`` of a
benchmark, also one deep in a library, finds this file; it hands over the standard module.
"""

import sys

if __name__ == "__main__":
    from inspection import main

    main()
else:
    import importlib.machinery
    import importlib.util
    import os

    _here = os.path.dirname(os.path.abspath(__file__))
    _path = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != _here]
    _spec = importlib.machinery.PathFinder.find_spec("inspect", _path)
    assert _spec is not None
    assert _spec.loader is not None
    _standard = importlib.util.module_from_spec(_spec)
    sys.modules[__name__] = _standard  # what the import statement then returns
    _spec.loader.exec_module(_standard)
