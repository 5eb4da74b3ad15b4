"""Run perfmodel from a checkout: `python cli.py predict ...` is `perfmodel predict ...`."""

from perfmodel.cli.app import main

if __name__ == "__main__":
    main()
