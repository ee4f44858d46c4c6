"""Linux boards behind ssh: the real ssh program as a child process, with nothing installed on the board.

    open_ssh("pi@raspberrypi")     one board with a fresh folder: a `remote.Remote`

`address` reads `USER@HOST:PORT`; `program` starts ssh, once as the connection's master and once per call; `complaints` turns its texts
into errors with a next step; `remote` is the run's folder.
"""

from edgecompress.device.ssh.remote import SshRemote, open_ssh

__all__ = ["SshRemote", "open_ssh"]
