"""`python -m validation.wire` runs the experiment."""

import sys

from validation.wire.compare import main

if __name__ == "__main__":
    sys.exit(main())
