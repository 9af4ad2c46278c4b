"""``python -m soma_cp``: the same as the ``soma-cp`` command."""

from soma_cp.cli.main import main

if __name__ == "__main__":
    main()
