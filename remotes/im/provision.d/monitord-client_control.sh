#!/bin/sh
# im provision: monitord starts and stops the monitoring of a host; hand the call to the agent.
# one_im_sh takes a failure's reason from the output.
lib=${ONE_LOCATION:+$ONE_LOCATION/lib}
client=${lib:-/usr/lib/one}/hybrid/hybrid-client
if [ -x "$client" ] && [ -x "${client%/*}/venv/bin/python" ]; then
    exec "$client" im provision monitord-client_control "$@"
fi
echo "The hybrid drivers are not completely installed: $client or its Python is missing; run install.sh again."
exit 1
