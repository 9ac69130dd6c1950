#!/usr/bin/env bash
# What the control plane that `ops` replaces did around one run of a capability, and nothing more: a run key, the hash
# of what is run, a folder with output and receipt, the output's hash, a line in the ledger. No approval, no signature,
# no sandbox, no limits; and the capability itself is one `printf`. A baseline of the benches: `seed.sh FILE`, in a scratch
# folder.
set -euo pipefail

printf -v started '%(%Y-%m-%dT%H:%M:%SZ)T' -1
printf -v stamp '%(%Y%m%d-%H%M%S)T' -1
key="CAP-${stamp}__test.seed.echo__R$RANDOM$RANDOM"
code=$(sha256sum "$1")
folder=seed/receipts/sessions/R$key
mkdir -p "$folder"

printf '{"texts": ["a"]}\n' > "$folder/output.txt"

output=$(sha256sum "$folder/output.txt")
printf -v finished '%(%Y-%m-%dT%H:%M:%SZ)T' -1
cat > "$folder/receipt.md" << END
| Field | Value |
|---|---|
| Run ID | $key |
| Capability | test.seed.echo |
| Status | done |
| Exit Code | 0 |
| Generated | $finished |
| Code | ${code%% *} |
| Output | output.txt, sha256 ${output%% *} |
| Start | $started |
| End | $finished |
END
printf '%s,%s,%s,%s,done,test.seed.echo,receipt.md,,capability\n' \
  "$key" "$finished" "$started" "$finished" >> seed/ledger.csv
