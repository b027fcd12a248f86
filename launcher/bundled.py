"""What a bundle begins with: make its modules, as importing them one by one would.

bootstrap.py runs this with `modules`, of which bundle.py says what they are. All else is found on
sys.path as ever, what else the package has included.
"""

import _imp
import sys
from _frozen_importlib import ModuleSpec

for name, is_package, file, code in globals()["modules"]:
    path = f"{sys.path[0]}/{file}"
    spec = ModuleSpec(name, None, origin=path, is_package=is_package)
    module = type(sys)(name)
    module.__spec__ = spec
    module.__package__ = spec.parent
    module.__file__ = path
    if is_package:
        module.__path__ = [path.rpartition("/")[0]]
    # Where the source is was not known when the bundle was made; a traceback shows its lines.
    _imp._fix_co_filename(code, path)
    exec(code, module.__dict__)
    # Only what is whole can be imported. Whatever it imports itself came before it.
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
