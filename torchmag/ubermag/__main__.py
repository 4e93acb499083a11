"""`python -m torchmag.ubermag FOLDER` runs the drive that `Driver.schedule` wrote there."""

import sys
from pathlib import Path

from torchmag.ubermag.folder import Folder
from torchmag.ubermag.schedule import load


def main(path: Path) -> None:
    """Run the drive of a folder."""
    driver, system, number, ovf_format, arguments = load(path)
    driver.run(system, Folder.opened(system, path, number, ovf_format), *arguments)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m torchmag.ubermag FOLDER")
    main(Path(sys.argv[1]))
