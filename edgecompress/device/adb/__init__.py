"""Phones behind adb: the real adb program as a child process, with nothing installed on the phone.

    list_phones()            what adb sees, in whichever state
    open_adb(serial)         one phone with a fresh folder below /data/local/tmp: a `remote.Remote`
    phone_facts(remote)      what the phone says about itself

`program` starts adb, bounded in time and output; `complaints` turns its texts into errors with a next step; `phones` lists, chooses and
connects; `shell` makes command lines that survive the way; `remote` is the run's folder; `facts` reads properties.
"""

from edgecompress.device.adb.facts import PhoneFacts, phone_facts
from edgecompress.device.adb.phones import Phone, list_phones
from edgecompress.device.adb.program import Patience
from edgecompress.device.adb.remote import AdbRemote, open_adb

__all__ = ["AdbRemote", "Patience", "Phone", "PhoneFacts", "list_phones", "open_adb", "phone_facts"]
