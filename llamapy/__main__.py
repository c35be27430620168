"""`python -m llamapy`: the command line."""

from .cli import main

raise SystemExit(main())
