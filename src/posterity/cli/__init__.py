"""The command line: arguments and exit codes over library calls.

Exit codes: 0 all well, 1 more entities failed or flagged than the configuration's share allows, 2 bad input
or configuration (nothing was written). Heavy libraries are imported inside commands, so that help answers at
once.
"""

import os
import sys
from collections.abc import Sequence

from posterity.cli.app import app
from posterity.errors import PosterityError

__all__ = ["app", "main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `posterity`; every deliberate error ends as plain sentences and exit code 2."""
    try:
        sys.exit(app(sys.argv[1:] if arguments is None else arguments, result_action="return_value") or 0)
    except PosterityError as error:
        print(f"posterity: {type(error).__name__}", file=sys.stderr)
        print(error, file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read has seen enough: `posterity predict ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        print("\nstopped; run the same command again and it goes on where it was", file=sys.stderr)
        sys.exit(130)
