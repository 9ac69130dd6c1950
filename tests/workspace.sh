#!/usr/bin/env bash
# Makes the repository's own workspace ready: components, a development key, approvers, trust, lock, and bin/ops.
# OPS is the program, GUESTS the folder of built components. Says what it did; running it again changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p bin ops/components ops/state target/dev
ln -sfn "$(realpath --relative-to=bin "$OPS")" bin/ops
for component in "$GUESTS"/*.wasm; do
  case $component in
    */guest_*) ;; # of the tests
    *) cp "$component" ops/components/ ;;
  esac
done

# The key lies outside the workspace, where no grant reaches. `ops init` makes it, in a workspace that is thrown away.
key=$PWD/target/dev/approver
if [ ! -e "$key" ]; then
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  XDG_STATE_HOME=$scratch bin/ops init "$scratch/w" --principal make-build --new-key "$key" 2>/dev/null
  cp "$scratch/w/ops/approvers" target/dev/approvers
fi
# A key that was made before there were reviews may sign them, too.
sed -i 's/,ops-resolution"/,ops-resolution,ops-review"/' target/dev/approvers
if [ ! -e ops/approvers ] || ! grep -qv '^make-build ' ops/approvers; then
  cp target/dev/approvers ops/approvers
elif ! grep -qF "$(cut -d' ' -f2 "$key.pub")" ops/approvers; then
  echo "ops/approvers names keys of yours, so nothing was pinned: ./bin/ops trust, then ./bin/ops pin --key KEY" >&2
  exit 0
fi

# Both speak at length of what they do; here that matters only where they fail.
# What is generated lies in the repository, so what changes there is seen before it is committed.
said=$(bin/ops trust --yes 2>&1 && bin/ops sync 2>&1 && bin/ops pin --development --yes --key "$key" 2>&1) || { echo "$said" >&2; exit 1; }

cat <<'END'
The workspace ops/ is pinned for development, and bin/ops is the program. Try it:
  ./bin/ops cap list
  ./bin/ops cap run communications.mail.send.test --to ops@communications.local --subject Hello
  ./bin/ops plan approve PLAN --key target/dev/approver --apply
  ./bin/ops cap run infra.vm.provision --target communications-stack --profile spine-ready-v1 --vm-id 214 --dry-run
END
