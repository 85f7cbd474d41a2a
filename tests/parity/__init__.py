"""Whether Stagecraft renders what Compose renders: `python -m tests.parity DIR`.

Every Compose file of a folder is rendered twice from the same files with the same environment: by the
installed `stagecraft config render --no-pin`, from a commit, and by the pinned `docker compose config`. The
documents must be equal once the differences that the reference lists have been taken back.
"""
