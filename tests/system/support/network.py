"""The network of most tests: two hosts, and a router's configuration between them."""

from dom0.topology import Host

LEFT = Host("left", "xenbr0", ("10.0.0.2/24", "2001:db8:0::2/64"), ("10.0.0.1", "2001:db8:0::1"))
RIGHT = Host("right", "xenbr1", ("10.0.1.2/24", "2001:db8:1::2/64"), ("10.0.1.1", "2001:db8:1::1"))

CONFIG = """
hostname = "tenant-a"

[interface.left]
vif     = 0
address = ["10.0.0.1/24"]

[interface.right]
vif     = 1
address = ["10.0.1.1/24"]
"""

# Both families, and no wait for addresses to be tentative.
DUAL_STACK = """
hostname = "dual"

[interface.left]
vif           = 0
address       = ["10.0.0.1/24", "2001:db8:0::1/64"]
dad_transmits = 0

[interface.right]
vif           = 1
address       = ["10.0.1.1/24", "2001:db8:1::1/64"]
dad_transmits = 0
"""
