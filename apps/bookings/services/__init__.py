"""Every write to the network, to trips and to the seats on them."""
