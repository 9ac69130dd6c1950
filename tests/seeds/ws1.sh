#!/usr/bin/env bash
# LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218, "Execution Pack", in its order.
# Each line in quotes is the document's own; run keys stand where it says <run-keys>.
set -euo pipefail
source "$(dirname "$0")/common.bash"

echo '1. Baseline and route'
seed './bin/ops status'
seed './bin/ops cap run stability.control.snapshot'
expect_no 'HEALTHY'
seed './bin/ops cap run verify.route.recommend'

echo '2. Communications bindings and surfaces, with the safety and the approval that the document asks for'
for name in communications.stack.status communications.mailboxes.list communications.mail.search; do
  seed "./bin/ops cap show $name"
  expect 'read-only'
done
seed './bin/ops cap show communications.mail.send.test'
expect '(mutating, approved by a person'
surfaces=()
for words in communications.stack.status communications.mailboxes.list 'communications.mail.search ops'; do
  seed "./bin/ops cap run $words"
  surfaces+=("$key")
done
CODE=3 seed './bin/ops cap run communications.mail.send.test --to ops@communications.local'
plan=$(grep -o 'P[a-z0-9]\{10\}' <<<"$said" | head -n 1)
seed "./bin/ops plan approve $plan --key target/dev/approver --apply"
surfaces+=("$key")
for file in capabilities.yaml bindings/capability_map.yaml bindings/capability.domain.catalog.yaml; do
  grep -q 'communications.mail.send.test' "ops/$file"
done

echo '3. Domain wiring'
for file in gate.execution.topology gate.domain.profiles docs.impact.contract capability.domain.catalog; do
  grep -q communications "ops/bindings/$file.yaml"
done
seed './bin/ops sync --check'

echo '4. Infra dry-run certification'
seed './bin/ops cap run infra.vm.provision --target communications-stack --profile spine-ready-v1 --vm-id 214 --dry-run'
provision=$key
seed './bin/ops cap run infra.vm.bootstrap --target communications-stack --profile spine-ready-v1 --vm-id 214 --dry-run'
bootstrap=$key

echo '5. Verification'
seed './bin/ops cap run verify.core.run'
expect '10/10 PASS'
core=$key
seed './bin/ops cap run verify.domain.run aof --force'
domain=$key
seed './bin/ops cap run verify.pack.run loop_gap'
pack=$key

echo '6. Lifecycle close'
# Prose is refused, as ever, and so is a loop whose gap is open.
CODE=1 seed './bin/ops loops close LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218'
expect 'GAP-OP-665'
CODE=2 seed 'echo "yes" | ./bin/ops cap run gaps.close --id GAP-OP-665 --status fixed --fixed-in "commit 692954a"'
keys="${surfaces[*]} $provision $bootstrap $core $domain $pack"
seed "echo \"yes\" | ./bin/ops cap run gaps.close --id GAP-OP-665 --status fixed --fixed-in \"$keys\""
expect 'CLOSED: GAP-OP-665'
seed './bin/ops loops close LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218'
expect 'CLOSED'

echo 'What is left: a closed gap and a closed loop that name their evidence, and receipts that hold'
grep -q "$core" ops/gaps/operational.gaps.yaml
grep -q '^status: closed' ops/loops/LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218.scope.md
grep -q "$core" ops/loops/LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218.scope.md
seed './bin/ops cap run verify.core.run'
expect '10/10 PASS'
seed './bin/ops receipts verify --all'
seed './bin/ops status'
