"""``python -m bnexp`` is ``bnexp``."""

from bnexp.import_path import protect

if __name__ == "__main__":
    protect()  # before anything else is imported: Python has put the working folder first on the path
    from bnexp.cli.main import process

    process()
