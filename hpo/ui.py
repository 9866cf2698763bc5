"""``python -m hpo.ui``: opens both web pages of a study."""

import sys

from hpo.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["ui", *sys.argv[1:]]))
