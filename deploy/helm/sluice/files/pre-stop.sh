#!/usr/bin/env bash
# Ends a gateway so that no request is cut off and no call is made twice that had no need to: out of
# the load balancers first, then until what is under way has ended. Envoy's admin interface is on
# the loopback interface of its pod, and its image has bash and no curl.
#
# ADMIN_PORT, and the seconds ENDPOINTS_SECONDS and CALLS_SECONDS come from the chart's values.

ask() { # METHOD PATH
  exec 3<>"/dev/tcp/127.0.0.1/$ADMIN_PORT" || return 1
  printf '%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n' \
    "$1" "$2" >&3
  cat <&3
  exec 3>&-
}

# Prints how much is under way: clients' requests, calls, and groups that the drain is a member of.
under_way() {
  local sum=0 name value
  while IFS=': ' read -r name value; do
    value=${value%$'\r'}
    case $name in
      http.gateway.downstream_rq_active | *sluice_calls_in_flight | *sluice_group_memberships)
        sum=$((sum + value)) ;;
    esac
  done < <(ask GET '/stats?filter=(downstream_rq_active|sluice_calls_in_flight|sluice_group_memberships)$')
  echo "$sum"
}

# /ready says 503 from now on, connections of clients are closed after their answers, and the drain
# takes no more calls.
ask POST /healthcheck/fail >/dev/null || exit 0
# Others learn only by and by that this pod is about to end.
sleep "$ENDPOINTS_SECONDS"
deadline=$((SECONDS + CALLS_SECONDS))
while ((SECONDS < deadline)) && (($(under_way) > 0)); do
  sleep 1
done
exit 0
