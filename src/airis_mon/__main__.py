"""`python -m airis_mon`."""

from airis_mon.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
