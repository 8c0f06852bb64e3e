#!/bin/sh
# Sends what stands on standard input (one event or a list, as JSON) to a running service, signed after Standard Webhooks.
#
#   examples/send-event.sh http://127.0.0.1:8470 <events/03-resignation.json
#
# HR_WEBHOOK_SECRET is the webhook's secret, `whsec_` and base64. Prints the answer. Needs curl and openssl.
set -eu

body=$(mktemp)
trap 'rm -f "$body"' EXIT
cat >"$body"

id="msg_$(openssl rand -hex 12)"
now=$(date +%s)
key=$(printf '%s' "${HR_WEBHOOK_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
signature=$({ printf '%s.%s.' "$id" "$now"; cat "$body"; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)

curl -sS --fail-with-body "${1%/}/v1/events" \
    -H "webhook-id: $id" -H "webhook-timestamp: $now" -H "webhook-signature: v1,$signature" \
    -H 'content-type: application/json' --data-binary "@$body"
echo
