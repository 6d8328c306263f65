"""``python -m unnoise``: the command line."""

from unnoise.app.cli.main import main

if __name__ == "__main__":
    main()
