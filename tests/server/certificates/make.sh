#!/bin/sh
# Made these files, once; they are valid for a hundred years, and known to everybody.
set -eu
new() { # NAME ISSUER SUBJECT-ALTERNATIVE-NAME
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  cat > "$1.ext" << END
subjectAltName=$3
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
END
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -days 36500 -extfile "$1.ext" -out "$1.pem"
  rm "$1.csr" "$1.ext"
}
for ca in authority other-authority; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $ca.key -out $ca.pem -days 36500 -subj "/CN=$ca" \
    -addext keyUsage=critical,keyCertSign,cRLSign
done
new server authority DNS:localhost,IP:127.0.0.1
new renewed authority DNS:localhost,IP:127.0.0.1
new envoy authority DNS:envoy.example,URI:spiffe://example/envoy
new stranger authority DNS:stranger.example
new outsider other-authority DNS:envoy.example
rm ./*authority.key *.srl 2> /dev/null || true
