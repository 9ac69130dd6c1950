//! All five stand-ins, and a workspace that has the repository's own bindings for them.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use ops_tests::scratch::{Ran, Scratch, repository};
use ops_tests::tls::{Authority, Front};
use serde_json::{Value, json};

use super::stand_in::StandIn;

/// What Cloudflare takes, and what the proxy before the Docker engine takes.
pub(super) const TOKEN: &str = "cl0udflare-t0ken-only-the-host-knows";
pub(super) const ENGINE_TOKEN: &str = "eng1ne-t0ken-only-the-host-knows";

/// The four systems, each with its probe's crate.
pub(super) const SYSTEMS: [(&str, &str); 4] = [
    ("cloudflare", "infra-cloudflare-probe"),
    ("vaultwarden", "infra-vaultwarden-probe"),
    ("infisical", "infra-infisical-probe"),
    ("authentik", "infra-authentik-probe"),
];
/// The other capabilities of infra-core, each with its crate.
const OTHERS: [(&str, &str); 4] = [
    ("infra.core.smoke", "infra-core-smoke"),
    ("infra.core.baseline.record", "infra-core-baseline-record"),
    ("infra.container.restart", "infra-container-restart"),
    ("recovery.dispatch", "recovery-dispatch"),
];
const CONTRACTS: [&str; 2] = ["infra.core.baseline.contract.yaml", "recovery.actions.yaml"];

pub(super) struct Site {
    pub(super) scratch: Scratch,
    pub(super) cloudflare: StandIn,
    pub(super) vaultwarden: StandIn,
    pub(super) infisical: StandIn,
    pub(super) authentik: StandIn,
    pub(super) engine: StandIn,
    /// The TLS before the engine.
    front: Front,
    authority: Authority,
}

impl Site {
    /// All stand-ins are well, and all services are bound to them.
    pub(super) fn new() -> Self {
        let zones: Vec<_> = (0..51).map(|number| format!("zone{number}.test")).collect();
        let container = json!({"health": "unhealthy", "after": {"health": "healthy"}, "slow": 1});
        let containers =
            json!({"authentik-server": container, "vaultwarden": container, "infisical-backend": container});
        let engine =
            StandIn::start("docker_engine.py", json!({"token": ENGINE_TOKEN, "containers": containers}));
        let authority = Authority::new("Internal CA");
        let site = Self {
            scratch: Scratch::new(),
            cloudflare: StandIn::start("cloudflare_api.py", json!({"token": TOKEN, "zones": zones})),
            vaultwarden: StandIn::start("vaultwarden.py", json!({})),
            infisical: StandIn::start(
                "infisical.py",
                json!({"client_id": "c", "client_secret": "s", "secrets": []}),
            ),
            authentik: StandIn::start("authentik.py", json!({})),
            front: Front::passing(&authority.certify("127.0.0.1"), engine.port()),
            engine,
            authority,
        };
        site.settle();
        site
    }

    /// The repository's own workspace: nothing is bound.
    pub(super) fn unbound() -> Scratch {
        let scratch = Scratch::new();
        place(&scratch);
        for (name, _) in bindings() {
            scratch.write_binding(&own(&name));
        }
        pin(&scratch);
        scratch
    }

    /// Writes everything and pins.
    fn settle(&self) {
        let scratch = &self.scratch;
        place(scratch);
        for (name, _) in bindings() {
            scratch.write_binding(&self.bound(&name));
        }
        scratch.write("ops/tls/internal-ca.pem", &self.authority.pem());
        let secret = |name: &str, value: &str, origin: &str| {
            let file = scratch.path("home").join(name);
            write_secret(&file, value);
            format!("  {name}: {{from: \"file:{}\", origins: [\"{origin}\"]}}\n", file.display())
        };
        let engine = self.front.origin("127.0.0.1");
        let secrets = [
            secret("cloudflare-token", TOKEN, self.cloudflare.origin()),
            secret("docker-token", ENGINE_TOKEN, &engine),
        ];
        scratch.write("ops/ops.yaml", &format!("workspace: demo\nsecrets:\n{}", secrets.concat()));
        pin(scratch);
    }

    /// Puts another token where the binding's secret comes from.
    pub(super) fn set_token(&self, token: &str) {
        write_secret(&self.scratch.path("home/cloudflare-token"), token);
    }

    /// A binding of the repository with the services that its comments tell operators to write, at the stand-ins.
    fn bound(&self, name: &str) -> String {
        let text = own(name);
        let services: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("#   "))
            .map(|line| format!("{line}\n"))
            .collect();
        let loopback = |origin: &str| format!("origin: {origin}\n    addresses: [127.0.0.1/32]");
        let services = services
            .replace("    addresses: [10.2.0.0/16]\n", "")
            .replace("origin: https://api.cloudflare.com", &loopback(self.cloudflare.origin()))
            .replace("origin: https://vault.example.internal", &loopback(self.vaultwarden.origin()))
            .replace("origin: https://secrets.example.internal", &loopback(self.infisical.origin()))
            .replace("origin: https://sso.example.internal", &loopback(self.authentik.origin()))
            .replace(
                "origin: https://docker1.example.internal:2376",
                &loopback(&self.front.origin("127.0.0.1")),
            );
        assert!(
            !services.contains(".internal\n"),
            "{name} tells of a service that is not replaced: {services}"
        );
        format!("{text}{services}")
    }

    pub(super) fn of(&mut self, system: &str) -> &mut StandIn {
        match system {
            "cloudflare" => &mut self.cloudflare,
            "vaultwarden" => &mut self.vaultwarden,
            "infisical" => &mut self.infisical,
            "authentik" => &mut self.authentik,
            other => panic!("no system {other}"),
        }
    }

    /// Runs the smoke test, of one system or of all, and returns what it reports.
    pub(super) fn smoke(&self, system: &[&str]) -> (Ran, Value) {
        smoke(&self.scratch, system)
    }
}

/// Runs the smoke test in a workspace, and returns what it reports.
pub(super) fn smoke(scratch: &Scratch, system: &[&str]) -> (Ran, Value) {
    let ran = scratch.ops(&[&["cap", "run", "infra.core.smoke"], system, &["--json"]].concat());
    let report = ran.json();
    (ran, report)
}

/// The row of a system in a report of the smoke test.
#[track_caller]
pub(super) fn row<'a>(report: &'a Value, system: &str) -> &'a Value {
    let rows = report["data"]["systems"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    rows.iter().find(|row| row["system"] == system).unwrap_or_else(|| panic!("no {system}: {report:#}"))
}

/// The row of a check in it.
#[track_caller]
pub(super) fn check<'a>(report: &'a Value, system: &str, check: &str) -> &'a Value {
    let rows = report["data"]["checks"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    let is = |row: &&Value| row["system"] == system && row["check"] == check;
    rows.iter().find(is).unwrap_or_else(|| panic!("no {system} {check}: {report:#}"))
}

/// The bindings of infra-core, each with its crate.
fn bindings() -> impl Iterator<Item = (String, &'static str)> {
    let probes = SYSTEMS.into_iter().map(|(system, guest)| (format!("infra.{system}.probe"), guest));
    probes.chain(OTHERS.into_iter().map(|(name, guest)| (name.to_owned(), guest)))
}

/// Pins. What was compiled for another workspace of these tests is not compiled again: eight components take long.
fn pin(scratch: &Scratch) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("infra-core-compiled");
    let state =
        fs::read_dir(scratch.path("state/ops")).unwrap().next().unwrap().unwrap().path().join("cache");
    fs::create_dir_all(&kept).unwrap();
    if !state.exists() {
        fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    }
    copy_new(&kept, &state);
    scratch.pin();
    copy_new(&state, &kept);
}

/// Copies the files that are not there yet, each whole or not at all.
fn copy_new(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        let is_whole = name.ends_with(".cwasm") || name.ends_with(".sha256");
        if is_whole && !to.join(name).exists() {
            let aside = to.join(format!("{name}.{}.{:?}", std::process::id(), std::thread::current().id()));
            fs::copy(&file, &aside).unwrap();
            fs::rename(aside, to.join(name)).unwrap();
        }
    }
}

/// Puts components, contracts and folders into a workspace.
fn place(scratch: &Scratch) {
    for (_, guest) in bindings() {
        scratch.place(guest);
    }
    for name in CONTRACTS {
        scratch.write(&format!("ops/bindings/{name}"), &text(name));
    }
    fs::create_dir_all(scratch.path("ops/state/infra-core-audit")).unwrap();
}

/// The repository's own binding.
fn own(name: &str) -> String {
    text(&format!("{name}.yaml"))
}

fn text(file: &str) -> String {
    fs::read_to_string(repository().join("ops/bindings").join(file)).unwrap()
}

fn write_secret(file: &Path, value: &str) {
    fs::write(file, value).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}
