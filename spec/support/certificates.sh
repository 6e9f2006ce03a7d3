#!/bin/sh
# certificates.sh FOLDER: a CA of this run (ca.pem) and a server's certificate for loopback (server.pem, server.key).
set -eu
cd "$1"
quietly() { "$@" 2>made.log || { cat made.log >&2; exit 1; }; }
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
quietly openssl req -x509 $key -days 2 -subj "/CN=specs CA" -keyout ca.key -out ca.pem
quietly openssl req $key -subj "/CN=localhost" -keyout server.key -out server.csr
echo "subjectAltName = DNS:localhost, IP:127.0.0.1" >server.ext
quietly openssl x509 -req -in server.csr -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile server.ext \
  -out server.pem
