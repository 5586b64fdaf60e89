"""Tells systemd what the service is doing (sd_notify(3)); silent where nobody listens."""

import os
import socket
from contextlib import suppress


def notify(*assignments: str) -> None:
    """Send ``READY=1`` and the like to the socket in ``$NOTIFY_SOCKET``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # the abstract namespace, unix(7)
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)  # noqa: FBT003 - the function takes no name
        sender.connect(address)
        sender.send("\n".join(assignments).encode())
