"""`python -m matchcut` is `matchcut`."""

from matchcut.cli import main

raise SystemExit(main())
