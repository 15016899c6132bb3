"""Tables from plans and from measurements that others made; never measures."""
