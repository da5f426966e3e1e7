"""`python -m server` is `outcome-bridge`."""

from server.cli import main

main()
