"""Where the files that travel with the package are: firmware/, targets/ and calibration_data/.

An installed wheel holds them under `edgecompress/_data`; a checkout (or an editable install) has them beside the package.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """The folder `name` ("firmware", "targets" or "calibration_data") of this installation.

    Raises:
        FileNotFoundError: the installation is damaged.
    """
    for root in (_PACKAGE / "_data", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise FileNotFoundError(f"edgecompress is installed without its {name}/ folder: install it again")
