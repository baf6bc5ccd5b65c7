"Builds the course into the package, so that a wheel carries the lessons and samples (everything else stands in pyproject.toml)."
import importlib.util
import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


def course_module():
    "rheumkit/core/course.py by its path: while the package is being built it cannot be imported, and the module needs the standard library only."
    spec = importlib.util.spec_from_file_location("course", ROOT/"rheumkit"/"core"/"course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildWithCourse(build_py):
    "build_py, then the learner's edition of the lessons into rheumkit/_course."
    def run(self):
        super().run()
        if self.editable_mode: return   # a checkout makes the course from nbs/ when it is asked for
        target = Path(self.build_lib)/"rheumkit"/"_course"
        shutil.rmtree(target, ignore_errors=True)
        if made := os.environ.get("RHEUMKIT_COURSE"): shutil.copytree(made, target)   # a class brings its own, without solutions
        else: course_module().build_course(ROOT, target)


setup(cmdclass={"build_py": BuildWithCourse})
