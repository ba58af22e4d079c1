"""``python -m proof``: all rows, or those that are named."""

import sys

from proof.rows import all_rows, main

if __name__ == "__main__":
    sys.exit(main(all_rows()))
