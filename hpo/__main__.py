"""``python -m hpo``: all commands, as in the installed ``hpo``."""

import sys

from hpo.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
