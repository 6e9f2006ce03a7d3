#!/bin/sh
# h2.sh COMMAND…: runs busted so that every nginx in front of a simulator (h2.lua) shares one CA, which the processes
# that specs start trust too. Then tells how many requests went over which protocol.
set -u
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
sh "$(dirname "$0")/certificates.sh" "$folder" || exit 1
VEO_SPEC_H2="$folder" CURL_CA_BUNDLE="$folder/ca.pem" "$@"
status=$?
cat "$folder"/*/access.log | awk '{ count[$1]++ } END { for(name in count) print name ": " count[name] " requests" }'
exit $status
