"""Two tenants with the same networks on one router: the configuration, and the hosts of each."""

from dataclasses import replace

from support.network import LEFT, RIGHT

# Blue: left's plain network, and VLAN 5 behind right. Red: the same networks, the other way round.
CONFIG = """
hostname = "vrfs"

[vrf.blue]
[vrf.red]

[interface.blue-left]
vif     = 0
vrf     = "blue"
address = ["10.0.0.1/24"]

[interface.blue-right]
parent  = "red-right"
vlan    = 5
vrf     = "blue"
address = ["10.0.1.1/24"]

[interface.red-left]
parent  = "blue-left"
vlan    = 6
vrf     = "red"
address = ["10.0.0.1/24"]

[interface.red-right]
vif     = 1
vrf     = "red"
address = ["10.0.1.1/24"]

[interface.lo]
type    = "loopback"
address = ["10.255.0.1/32"]

[[route]]
vrf     = "blue"
prefix  = "10.255.0.0/16"
via_vrf = "default"
"""

RED_LEFT = replace(LEFT, name="redleft", addresses=("10.0.0.2/24",), gateways=("10.0.0.1",))
BLUE_RIGHT = replace(RIGHT, name="blueright", addresses=("10.0.1.2/24",), gateways=("10.0.1.1",))
