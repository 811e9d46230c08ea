"""One router of os-ken (OpenStack), a third implementation of VRRP: says on its output how it stands.

router.py VERSION PRIORITY ADDRESS VIP ROUTER_ID DEVICE
"""
import logging
import socket
import sys
import threading

from os_ken.lib import hub

# Of os-ken 4.2.2 on threads: a wait with a time never ends. Timers are made of it.
hub.Event = threading.Event

from os_ken.base import app_manager
from os_ken.controller import handler
from os_ken.lib import mac
from os_ken.services.protocols.vrrp import api, event, manager, monitor_linux, sample_manager

# It reads /sys, which shows the devices of another namespace.
monitor_linux.if_nametoindex = socket.if_nametoindex
logging.basicConfig(level=logging.WARNING)
VERSION, PRIORITY, OWN, VIP, ID, DEVICE = sys.argv[1:7]


class One(app_manager.OSKenApp):
    def start(self):
        super().start()
        hub.spawn(self.begin)

    def begin(self):
        interface = event.VRRPInterfaceNetworkDevice(mac.DONTCARE_STR, OWN, None, DEVICE)
        config = event.VRRPConfig(
            version=int(VERSION), vrid=int(ID), priority=int(PRIORITY), ip_addresses=[VIP],
            advertisement_interval=1, preempt_mode=False)
        api.vrrp_config(self, interface, config)

    @handler.set_ev_cls(event.EventVRRPStateChanged)
    def changed(self, change):
        print("state", change.new_state, flush=True)


everything = app_manager.AppManager.get_instance()
everything.applications_cls.update({
    "VRRPManager": manager.VRRPManager,
    "RouterManager": sample_manager.RouterManager,
    "One": One,
})
everything.instantiate_apps(**everything.create_contexts())
threading.Event().wait()
