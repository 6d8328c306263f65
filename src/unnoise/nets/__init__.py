"""Networks, the weights that come with the package, and the devices they run on."""
