"""The network of the clients: a router that advertises itself on one side, and has a small link on the other."""

from dom0.topology import Host

NEAR = Host("near", "xennear", ("10.80.0.2/24", "2001:db8:80::2/64"), ("10.80.0.1", "2001:db8:80::1"))
FAR = Host("far", "xenfar", ("10.80.1.2/24", "2001:db8:81::2/64"), ("10.80.1.1", "2001:db8:81::1"))
OWN = {4: "10.80.0.1", 6: "2001:db8:80::1"}
BEHIND = {4: "10.80.1.2", 6: "2001:db8:81::2"}
ROUTER_MACS = ("00:16:3e:00:c1:00", "00:16:3e:00:c1:01")
MTU = 1280

CONFIG = f"""
hostname = "clients"

[interface.near]
vif     = 0
address = ["10.80.0.1/24", "2001:db8:80::1/64"]

[interface.near.advertise]
max_interval_s = 4
lifetime_s     = 1200
mtu            = 1480
preference     = "high"
dns            = ["2001:db8:80::53"]
dns_lifetime_s = 900
dns_search     = ["example.org"]

[[interface.near.advertise.prefix]]
prefix = "2001:db8:80::/64"
valid_lifetime_s     = 86400
preferred_lifetime_s = 14400

[[interface.near.advertise.route]]
prefix     = "2001:db8:99::/48"
lifetime_s = 600

[interface.far]
vif     = 1
address = ["10.80.1.1/24", "2001:db8:81::1/64"]
mtu     = {MTU}
"""
