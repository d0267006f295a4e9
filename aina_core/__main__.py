"""`python -m aina_core`: the command line."""

import sys

from aina_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
