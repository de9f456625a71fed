"""One address for all services, for clients that do not balance themselves: HAProxy, told while it runs."""
