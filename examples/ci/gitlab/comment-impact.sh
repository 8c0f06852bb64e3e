#!/bin/sh
# Comments under every open merge request who would gain and lose what. Run by a pipeline of the protected default
# branch. Proposed commits are fetched as data; nothing in them is run or checked out. Needs git, curl, jq, reconciler.
set -eu

: "${CI_API_V4_URL:?}" "${CI_PROJECT_ID:?}" "${RECONCILER_GITLAB_TOKEN:?}" "${PEOPLE_CSV:?}" "${EVIDENCE_CSV:?}"
project="$CI_API_V4_URL/projects/$CI_PROJECT_ID"
marker='permission-reconciler: impact'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The token goes by a file: arguments can be read by others on the machine.
umask 077
printf 'header = "PRIVATE-TOKEN: %s"\n' "$RECONCILER_GITLAB_TOKEN" > "$work/curl"
call() { curl --silent --show-error --fail --config "$work/curl" "$@"; }

call "$project/merge_requests?state=opened&per_page=100" | jq -r '.[] | "\(.iid) \(.sha)"' > "$work/open"
while read -r number commit; do
  git fetch --quiet --no-tags origin "+refs/merge-requests/$number/head:refs/remotes/origin/proposed"
  if [ "$(git rev-parse refs/remotes/origin/proposed)" != "$commit" ]; then
    continue  # pushed to meanwhile: the next round sees it
  fi
  if git diff --quiet "HEAD...$commit"; then
    continue
  fi
  if ! reconciler impact "HEAD...$commit" --people "$PEOPLE_CSV" --evidence "$EVIDENCE_CSV" \
    --no-names --output markdown > "$work/impact.md" 2> "$work/problems.txt" < /dev/null
  then
    {
      echo "<!-- $marker -->"
      echo '**The proposed policies cannot be compared:**'
      echo '```'
      head -c 20000 "$work/problems.txt" | tr -d '`'
      echo
      echo '```'
    } > "$work/impact.md"
  fi
  jq -n --rawfile body "$work/impact.md" '{body: $body}' > "$work/note.json"
  notes="$project/merge_requests/$number/notes"
  known=$(call "$notes?per_page=100" | jq -r --arg marker "$marker" 'map(select(.body | contains($marker))) | .[0].id // empty')
  if [ -n "$known" ]; then
    call -X PUT -H 'Content-Type: application/json' -d @"$work/note.json" "$notes/$known" > "$work/answer"
  else
    call -X POST -H 'Content-Type: application/json' -d @"$work/note.json" "$notes" > "$work/answer"
  fi
done < "$work/open"
