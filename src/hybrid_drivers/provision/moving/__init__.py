"""Moving virtual machines between hosts and clusters (``oneprovision vm-move``): what may go where, carrying it out."""
