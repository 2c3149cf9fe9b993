"""``python -m bnexp`` is ``bnexp``."""

from bnexp.cli.main import process

if __name__ == "__main__":
    process()
