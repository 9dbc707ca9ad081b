"""What the system tests share: hosts, packets by hand, and Linux in the router's place."""
