#!/usr/bin/env bash
# Runs every test of both workspaces and adds up what came of them. Ends with one line: N passed, N failed, N skipped.
# OPS_TESTS_NO_SKIP=1: a skipped test is a failure, but for one that says `not run`: what it needs cannot be installed.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# A trace for each panic would bury what failed.
export RUST_BACKTRACE=0

# A suite that cannot be built has no results to add up, so its exit code counts too.
broken=0
suite() { "${CARGO:-cargo}" test --no-fail-fast "$@" 2>&1 | tee -a "$log" || broken=1; }
suite --workspace
suite --manifest-path capabilities/Cargo.toml --workspace

# Adds up one number of all lines like: test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out
total() { sed -n "s/^test result: .*[ ;]\([0-9]*\) $1;.*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'; }
passed=$(total passed) failed=$(total failed) skipped=$(total ignored)

echo
if [ "$skipped" -gt 0 ]; then
  echo 'skipped:'
  sed -n 's/^test \(.*[^ ]\) *\.\.\. ignored.*/  \1/p' "$log"
fi
if [ "$failed" -gt 0 ]; then
  # Once more and last, because the end is what is looked at first: what each failed test said, cut to its first lines.
  awk '/^failures:$/ { n = 0 } /^---- .* ----$/ { n = 25 } n-- > 0' "$log"
  echo
  echo 'failed:'
  sed -n 's/^test \(.*[^ ]\) *\.\.\. FAILED.*/  \1/p' "$log"
elif [ $broken = 1 ]; then
  echo 'a suite did not get as far as its results; see above'
fi
code=$broken
[ "$failed" = 0 ] || code=1
missing=$(grep -c '^test .*\.\.\. ignored' <(grep -v 'not run: ' "$log") || true)
if [ -n "${OPS_TESTS_NO_SKIP:-}" ] && [ "$missing" -gt 0 ]; then
  echo 'nothing may be skipped here (OPS_TESTS_NO_SKIP)'
  code=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit $code
