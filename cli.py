"""`python cli.py ...` from a checkout: the command line without installing."""

from twill.cli import main

if __name__ == "__main__":
    main()
