"""``python -m hpo.run``: runs a study, the main job."""

import sys

from hpo.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["run", *sys.argv[1:]]))
