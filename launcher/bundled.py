"""The first thing in a bundle: from here on, the package's modules are imported out of it.

bootstrap.py runs this with `modules`, which bundle.py describes. What is not among them (the
command line, say) is found on sys.path as ever.
"""

import _imp
import marshal
import sys
from _frozen_importlib import ModuleSpec

place = sys.path[0] + "/"
modules = globals()["modules"]


class Bundle:
    """A finder and loader as importlib wants them; each module is unpacked when it is imported."""

    @staticmethod
    def find_spec(name, _path=None, _target=None):
        if name not in modules:
            return None
        is_package, file, _code = modules[name]
        spec = ModuleSpec(name, Bundle, origin=place + file, is_package=is_package)
        if is_package:
            spec.submodule_search_locations.append(spec.origin.rpartition("/")[0])
        return spec

    @staticmethod
    def create_module(_spec):
        return None

    @staticmethod
    def exec_module(module):
        code = marshal.loads(modules[module.__name__][2])
        # Where the source is was not known when the bundle was made; tracebacks show its lines.
        module.__file__ = module.__spec__.origin
        _imp._fix_co_filename(code, module.__file__)
        exec(code, module.__dict__)


sys.meta_path.insert(0, Bundle)
