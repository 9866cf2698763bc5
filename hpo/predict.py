"""``python -m hpo.predict``: scores a table with a logged model."""

import sys

from hpo.commands.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
