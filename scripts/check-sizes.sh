#!/usr/bin/env bash
# Files are to have 80 to 300 lines and a name that tells their subject. The check names a longer file and fails
# beyond the limit. Inline tests (`#[cfg(test)] mod tests { … }`) do not count. clippy checks functions
# (too_many_lines, 100).
set -euo pipefail
cd "$(dirname "$0")/.."
aim=300 limit=450 limit_of_tests=700
bad=0
while read -r file; do
  case $file in
  */tests/* | */tests.rs | */testing.rs) limit_here=$limit_of_tests lines=$(wc -l <"$file") ;;
  *) limit_here=$limit lines=$(awk '/^#\[cfg\(test\)\]$/ { getline next_line; if (next_line ~ /^mod [a-z_]+ \{$/) exit; n++ } { n++ } END { print n + 0 }' "$file") ;;
  esac
  if [ "$lines" -gt "$limit_here" ]; then
    echo "$file has $lines lines, and $limit_here is the limit: give the second subject in it a file of its own" >&2
    bad=1
  elif [ "$limit_here" = $limit ] && [ "$lines" -gt $aim ]; then
    echo "$file has $lines lines (aim: $aim)"
  fi
  if [[ $file =~ (^|/)(utils?|helpers?|common|misc|managers?)(/|\.rs$) ]]; then
    echo "$file: the name does not tell the subject: rename it" >&2
    bad=1
  fi
done < <(git ls-files --cached --others --exclude-standard '*.rs')
exit $bad
