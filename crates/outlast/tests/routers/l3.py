"""Neutron's L3 agent of one host, as far as highly available routers are concerned.

l3.py HOST FOLDER: carries out FOLDER/orders, a line each, and writes into FOLDER/done how many it has carried out, and into
FOLDER/server what neutron's server would be told, a line of JSON each.

Of neutron: HaRouter (namespace, keepalived's file and process, the monitor's process), ProcessMonitor, which starts again what has
ended, the socket on which state changes arrive, and what the agent does about them. In place of a switch there are cables that
the test has laid, in place of neutron's server a file.
"""
import json
import os
import subprocess
import sys
import time

import neutron.cmd.eventlet  # noqa: F401  as the agent begins: before anything else is imported

from oslo_config import cfg

from neutron.agent.l3 import ha
from neutron.agent.l3 import ha_router
from neutron.agent.linux import external_process
from neutron.agent.linux import interface
from neutron.common import config as common_config
from neutron.conf.agent import common as agent_config
from neutron.conf.agent.l3 import config as l3_config
from neutron.conf.agent.l3 import ha as ha_conf
from neutron.conf.agent.metadata import config as meta_conf

HOST, FOLDER = sys.argv[1:3]


def ip(*words):
    subprocess.run(['ip', *words], check=True)


class Cable(interface.LinuxInterfaceDriver):
    """Plugs in an end of a cable that lies there (between the hosts), or one that ends in the namespace."""

    def plug_new(self, network_id, port_id, device_name, mac_address,
                 bridge=None, namespace=None, prefix=None, mtu=None):
        if prefix == ha_router.HA_DEV_PREFIX:
            ip('link', 'set', network_id + HOST, 'netns', namespace)
            ip('-n', namespace, 'link', 'set', network_id + HOST, 'name', device_name)
        else:
            ip('-n', namespace, 'link', 'add', device_name, 'type', 'veth', 'peer', 'name', 'far-' + port_id[:8])
            ip('-n', namespace, 'link', 'set', 'far-' + port_id[:8], 'up')
        ip('-n', namespace, 'link', 'set', device_name, 'address', mac_address)
        ip('-n', namespace, 'link', 'set', device_name, 'up')

    def unplug(self, device_name, bridge=None, namespace=None, prefix=None):
        pass


class Server:
    def update_ha_routers_states(self, context, states):
        with open(os.path.join(FOLDER, 'server'), 'a') as told:
            told.write(json.dumps(states) + '\n')


class Extensions:
    def ha_state_change(self, context, change):
        pass


class Base:
    def __init__(self, host):
        pass


class Agent(ha.AgentMixin, Base):
    def __init__(self):
        self.conf, self.host, self.context, self.use_ipv6 = cfg.CONF, HOST, None, False
        self.router_info, self.plugin_rpc, self.l3_ext_manager = {}, Server(), Extensions()
        self.process_monitor = external_process.ProcessMonitor(config=cfg.CONF, resource_type='router')
        super().__init__(HOST)

    def add(self, router_id, number):
        number, own = int(number), {'a': 1, 'b': 2}[HOST]

        def port(kind, address, prefix):
            return {
                'id': '%s%02d%s000-1111' % (kind, number, HOST), 'network_id': 'c%d' % number,
                'mac_address': 'fa:16:3e:%02x:%02x:%02x' % (ord(kind), number, own if kind == 'a' else 0),
                'fixed_ips': [{'ip_address': address, 'prefixlen': prefix, 'subnet_id': kind}],
                'subnets': [{'id': kind, 'cidr': '169.254.192.0/18', 'gateway_ip': None}],
                'mtu': 1500, 'status': 'ACTIVE'}
        router = {
            'id': router_id, 'ha': True, 'ha_vr_id': number, 'distributed': False,
            '_ha_interface': port('a', '169.254.192.%d' % own, 18)}
        one = ha_router.HaRouter(self, router_id, router, cfg.CONF, Cable(cfg.CONF), use_ipv6=False)
        self.router_info[router_id] = one
        one.initialize(self.process_monitor)
        self.inside = port('b', '10.1.%d.1' % number, 24)
        one.internal_network_added(self.inside)
        one.enable_keepalived()

    def floating(self, router_id, address):
        one = self.router_info[router_id]
        one.add_floating_ip({'floating_ip_address': address}, one.get_internal_device_name(self.inside['id']), None)
        one.enable_keepalived()

    def delete(self, router_id):
        one = self.router_info.pop(router_id)
        one.destroy_state_change_monitor(self.process_monitor)
        one.disable_keepalived()


def configure():
    common_config.register_common_config_options()
    l3_config.register_l3_agent_config_opts(l3_config.OPTS, cfg.CONF)
    ha_conf.register_l3_agent_ha_opts(cfg.CONF)
    meta_conf.register_meta_conf_opts(meta_conf.SHARED_OPTS, cfg.CONF)
    agent_config.register_interface_driver_opts_helper(cfg.CONF)
    agent_config.register_agent_state_opts_helper(cfg.CONF)
    agent_config.register_interface_opts(cfg.CONF)
    agent_config.register_external_process_opts(cfg.CONF)
    agent_config.register_ra_opts(cfg.CONF)
    agent_config.register_root_helper(cfg.CONF)
    cfg.CONF([], project='neutron')
    cfg.CONF.set_override('state_path', FOLDER)
    cfg.CONF.set_override('ha_vrrp_advert_int', 1)
    cfg.CONF.set_override('enable_metadata_proxy', False)
    cfg.CONF.set_override('root_helper', 'env', group='AGENT')
    cfg.CONF.set_override('check_child_processes_interval', 2, group='AGENT')
    cfg.CONF.set_override('lock_path', os.path.join(FOLDER, 'lock'), group='oslo_concurrency')
    agent_config.setup_privsep()


def main():
    configure()
    agent, done = Agent(), 0
    while True:
        with open(os.path.join(FOLDER, 'orders')) as orders:
            lines = orders.read().splitlines()
        for line in lines[done:]:
            what, *words = line.split()
            getattr(agent, what)(*words)
            done += 1
            with open(os.path.join(FOLDER, 'done.new'), 'w') as file:
                file.write(str(done))
            os.rename(os.path.join(FOLDER, 'done.new'), os.path.join(FOLDER, 'done'))
        time.sleep(0.05)


main()
