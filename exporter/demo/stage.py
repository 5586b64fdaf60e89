"""The simulated fleet while it runs: one gateway, its devices, and how each fared last."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from types import MappingProxyType
from typing import Self

from exporter.clock import Clock
from exporter.demo.authorities import (
    Authorities,
    device_certificate,
    gateway_certificate,
    make_authorities,
)
from exporter.demo.device import Contact, Device, DeviceClient, DeviceListener
from exporter.demo.fleet import Pace, devices_of, pace_of
from exporter.demo.layout import Layout
from exporter.demo.options import Break
from exporter.gateway.agent.drivers.embedded.terminator import Terminator


class Stage:
    """A gateway and devices on loopback, their files below one directory.

    As a context manager it holds the ports and the log; ``run`` brings it to life.
    """

    def __init__(self, layout: Layout, clock: Clock, *, device_count: int) -> None:
        now = clock.now()
        self._clock = clock
        self._layout = layout
        self._last: dict[str, Contact] = {}
        self._told = asyncio.Condition()
        self._open = ExitStack()
        self.pace: Pace = pace_of(device_count)
        self.devices: Sequence[Device] = devices_of(device_count, layout.devices)
        self.authorities: Authorities = make_authorities(now)
        layout.write_secrets(self.authorities)
        layout.write_trust_stores(self.authorities, self.devices)
        with self._open:
            self.gateway = self._make_gateway(now)
            self._listeners = self._make_listeners(now)
            self._open = self._open.pop_all()
        self._clients = [
            DeviceClient(
                device,
                str(self.gateway.addresses[0]),
                clock,
                interval_s=self.pace.contact_s,
                tell=self._keep,
            )
            for device in self.devices
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def contacts(self) -> Mapping[str, Contact]:
        """Each device's latest attempt; a device that has not tried yet is absent."""
        return MappingProxyType(self._last)

    def write_config(self, listen: str) -> None:
        """Write the configuration of a service that listens at ``listen`` and watches all this."""
        self._layout.write_config(
            self.devices,
            listen=listen,
            gateway=str(self.gateway.addresses[0]),
            device_addresses={name: made.address for name, made in self._listeners.items()},
            pace=self.pace,
        )

    async def run(self) -> None:
        """Let the gateway serve and the devices connect, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.gateway.run())
            for listener in self._listeners.values():
                tasks.create_task(listener.run())
            for client in self._clients:
                tasks.create_task(client.run())

    def break_gateway(self, broken: Break) -> datetime:
        """Let the gateway serve a certificate with ``broken`` wrong; return since when."""
        now = self._clock.now()
        self._layout.write_served(gateway_certificate(self.authorities, now, broken))
        self.gateway.serve(self._layout.gateway)
        return self._clock.now()

    async def all_contacts(self, wanted: Callable[[Contact], bool]) -> None:
        """Return once the latest attempt of every device is ``wanted``."""
        names = [device.name for device in self.devices]
        async with self._told:
            await self._told.wait_for(
                lambda: all(name in self._last and wanted(self._last[name]) for name in names)
            )

    async def _keep(self, contact: Contact) -> None:
        self._last[contact.device] = contact
        async with self._told:
            self._told.notify_all()

    def _make_gateway(self, now: datetime) -> Terminator:
        gateway = Terminator(self._layout.gateway_log, self._clock)
        self._open.callback(gateway.close)
        self._layout.write_served(gateway_certificate(self.authorities, now))
        gateway.serve(self._layout.gateway)
        return gateway

    def _make_listeners(self, now: datetime) -> dict[str, DeviceListener]:
        listeners = {}
        for device in self.devices:
            if device.listens:
                served = device_certificate(self.authorities, now, device.name, device.address)
                certificate = device.trust_store.parent / "endpoint.pem"
                listener = DeviceListener(device, served, certificate)
                self._open.callback(listener.close)
                listeners[device.name] = listener
        return listeners
