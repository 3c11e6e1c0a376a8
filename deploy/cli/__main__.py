"""`python -m deploy.cli` is the `quittance` command."""

import sys

from deploy.cli.main import main

sys.exit(main())
