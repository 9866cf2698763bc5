"""``python -m hpo``: every command, as the installed ``hpo`` has them."""

import sys

from hpo.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
