#!/bin/sh
# What the steps' snippets may call to connect the hosts of a cluster: VXLAN with fixed members, or with BGP EVPN.
