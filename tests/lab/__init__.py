"""The lab: how native Linux, dom0 and domUs compare as routers. README.md tells how to use it."""
