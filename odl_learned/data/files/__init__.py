"""Files of numpy and HDF5, believed as far as they are long."""
