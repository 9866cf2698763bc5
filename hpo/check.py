"""``python -m hpo.check``: says what a run would meet."""

import sys

from hpo.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["check", *sys.argv[1:]]))
