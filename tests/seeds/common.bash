# What the scripts of this folder share: a clone of their own, and how commands are run and shown.
# $1 of a script is the folder to work in; OPS is the program and GUESTS the folder of built components.

scratch=$(realpath "${1:?the folder to work in}")
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${OPS:=$repository/target/debug/ops}" "${GUESTS:=$repository/target/wasm32-wasip2/guest}"
export OPS GUESTS XDG_STATE_HOME="$scratch/state" NO_COLOR=1
unset OPS_WORKSPACE

# A clone, with the files as they are now: a change that is not committed yet is tested too.
git clone --quiet --no-hardlinks "$repository" "$scratch/clone"
git -C "$repository" ls-files -z | tar -C "$repository" --null --ignore-failed-read -cf - -T - | tar -C "$scratch/clone" -xf -
cd "$scratch/clone"
bash tests/workspace.sh >"$scratch/build.log" 2>&1 || { cat "$scratch/build.log" >&2; exit 1; }

# Runs a line of a seed as it is written, shows what it says, and fails if it ends with another code than CODE.
# The key of its run is in `key` afterwards, and what it said in `said`.
seed() {
  local code=0
  printf '\n$ %s\n' "$1"
  said=$(bash -c "$1" 2>&1) || code=$?
  sed 's/^/  /' <<<"$said"
  key=$(sed -n 's/^run key  *\(CAP-.*\)$/\1/p' <<<"$said" | tail -n 1)
  [ $code = "${CODE:-0}" ] || { echo "it ended with $code, not with ${CODE:-0}" >&2; exit 1; }
}

# What the last line must have said.
expect() {
  grep -qF -- "$1" <<<"$said" || { echo "it did not say: $1" >&2; exit 1; }
}

# What the last line must not have said.
expect_no() {
  if grep -qF -- "$1" <<<"$said"; then echo "it said: $1" >&2; exit 1; fi
}
