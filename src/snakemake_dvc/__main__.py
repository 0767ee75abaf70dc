"""The job of a rule: `python -m snakemake_dvc run STAGE STAMP`, or the same by the path of this folder or file.

`python -m snakemake_dvc dvc WORDS` is DVC's own command line, whose writes are whole.

By its path it runs under an interpreter that has DVC but not this package (`snakemake --use-conda`), and takes nothing
else from beside it.
"""

import importlib.util
import sys
from pathlib import Path

if not __package__:
    here = Path(__file__).resolve().parent
    # Python puts this folder first, but its modules are not to be found as `stages` or `plan`.
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]
    spec = importlib.util.spec_from_file_location("snakemake_dvc", here / "__init__.py")
    assert spec and spec.loader
    sys.modules["snakemake_dvc"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)

from snakemake_dvc.jobs import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
