"""The network of most tests, and a third interface behind which there is trouble."""

from dom0.topology import Host
from support.network import CONFIG as BETWEEN

SLOW = Host("slow", "xenbr2", ("10.0.2.2/24",), ("10.0.2.1",))

CONFIG = (
    BETWEEN
    + """
[interface.trouble]
vif     = 2
address = ["10.0.2.1/24"]
"""
)
