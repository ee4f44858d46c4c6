"""LiteRT or tflite-runtime on another machine, or in another Python of this one, through a script of one file.

    open_worker(remote, model_bytes, engine=..., python="python3", ...)     a `Device`
    local_python(engine)                                                     the Python to name for `local`

`litert_worker` is the script, which needs nothing of edgecompress; `answers` checks what it says; `device` starts it over a `Remote`;
`environment` makes the environment that tflite-runtime needs on this machine.
"""

from edgecompress.device.worker.device import WorkerDevice, open_worker
from edgecompress.device.worker.environment import local_python

__all__ = ["WorkerDevice", "local_python", "open_worker"]
