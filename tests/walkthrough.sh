#!/usr/bin/env bash
# Takes one capability the whole way in a scratch workspace, and shows each step as a person would do it.
# OPS is the program, GUESTS the folder of built components. KEEP=1 leaves the workspace behind.
set -euo pipefail

scratch=$(mktemp -d "${TMPDIR:-/tmp}/ops-walkthrough.XXXXXX")
finish() {
  local code=$?
  if [ "${KEEP:-}" = 1 ]; then echo "The workspace is left in $scratch"; else rm -rf "$scratch"; fi
  [ $code = 0 ] || echo 'The walkthrough stopped: its last command did not end as it should.' >&2
}
trap finish EXIT

# `ops` by name, with a state folder of its own: nothing of the caller's is read or changed.
mkdir "$scratch/bin" "$scratch/demo"
ln -s "$OPS" "$scratch/bin/ops"
cp "$GUESTS/communications_mail_send_test.wasm" "$scratch/demo/send_test.wasm"
export PATH="$scratch/bin:$PATH" XDG_STATE_HOME="$scratch/state" NO_COLOR=1
unset OPS_WORKSPACE
cd "$scratch/demo"

bold='' plain=''
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
number=0
step() {
  number=$((number + 1))
  printf '\n%s%s. %s%s\n' "$bold" $number "$1" "$plain"
}

# Shows a command, runs it, shows what it says, and stops the walkthrough if it ends with another code than CODE.
# Where LAST is set, only so many lines from the end are shown.
run() {
  local code=0 said word
  printf '  $'
  for word in "$@"; do
    case $word in *' '*) printf " '%s'" "$word" ;; *) printf ' %s' "$word" ;; esac
  done
  echo
  said=$("$@" 2>&1) || code=$?
  [ -z "${LAST:-}" ] || said=$'[...]\n'$(tail -n "$LAST" <<<"$said")
  [ -z "$said" ] || sed '/^ *$/d; s/^/  /' <<<"$said"
  [ $code = 0 ] || printf '  (exit code %s)\n' $code
  [ $code = "${CODE:-0}" ]
}

name=communications.mail.send.test
echo 'A capability is a program that ops runs in a sandbox; this one sends a test mail. It can reach only what a'
echo 'file grants it, it changes nothing before a person has approved the exact change, and it leaves a receipt.'

step 'Make a workspace and a key for its first approver. Nothing runs that such a key has not signed for.'
run ops init --name demo --principal alice --new-key alice-key

step 'Bind the component. A new binding grants nothing.'
run ops bind $name send_test.wasm

step 'Grant a folder and two settings. No mail server is bound, so the message can only go into the outbox.'
cat >ops/bindings/$name.yaml <<EOF
capability: $name
component: components/send_test.wasm
safety: mutating
approval: {mode: manual}
directories:
  outbox: {path: state/outbox, access: stage}    # it works on a copy of this folder
config:
  from: ops@example.test
  allowed_recipient_domains: [example.test]
EOF
run cat ops/bindings/$name.yaml

step 'Sign the lock. It holds the hash of every file that grants something, and shows what they grant.'
run ops pin --key alice-key --yes

step 'Run it. It would change something, so it stops with a plan and waits for a person.'
CODE=3 LAST=5 run ops cap run $name --to bob@example.test --subject Hello --body 'It works.'
plan=$(ops plan list --json | sed -n 's/^ *"id": "\(.*\)".*/\1/p' | head -n 1)

step 'Look at the plan: this is all that would change. Its hash covers every line of it, and the component.'
run ops plan show "$plan"

step 'Approve it with the key and carry it out. What is written must equal the plan, byte for byte.'
run ops plan approve "$plan" --key alice-key --apply

step 'Try to carry it out again. An approval counts once, and a refusal leaves a receipt as well.'
CODE=4 run ops plan apply "$plan"

step 'Check the receipts. They say who asked and approved, what ran, what it could reach and what it changed.'
done_run=$(ops receipts list | sed -n 's/^done *//p')
run head -n 3 "receipts/sessions/R$done_run/receipt.md"
run ops receipts verify --all

step 'Forge something: in a copy of a receipt, let the message go to somebody else. It is found out.'
run cp -r "receipts/sessions/R$done_run" copy
run sed -i 's/bob@/eve@/' copy/output.json
CODE=1 LAST=4 run ops receipts verify copy

cat <<EOF

Where to look next
  KEEP=1 make run   the same again, with the workspace left to look at; each receipt has a receipt.md
  make build        this repository's own workspace, so that \`./bin/ops cap list\` works
  README.md         what else there is
  ARCHITECTURE.md   one run, followed through all layers
EOF
