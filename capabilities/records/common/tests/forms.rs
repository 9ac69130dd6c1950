//! The repository's own records have their forms, and the published schemas are those of the types.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use records_common::gap::Gap;
use records_common::gaps::{GapFile, Gaps};
use records_common::handoff::Handoff;
use records_common::scope::{Front, Scope, Status};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

const WS1: &str = "LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218";
const CORE: &str = "LOOP-INFRA-CORE-CANONICAL-WAVE-20260302";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn gaps() -> GapFile {
    GapFile::parse(fs::read_to_string(repository().join("ops/gaps/operational.gaps.yaml")).unwrap()).unwrap()
}

fn scope(id: &str) -> Scope {
    let text = fs::read_to_string(repository().join(format!("ops/loops/{id}.scope.md"))).unwrap();
    Scope::parse(id, text).unwrap()
}

#[test]
fn the_repository_ships_the_gaps_and_loops_of_its_first_users() {
    let gaps = gaps();
    let of = |id: &str| -> Vec<String> {
        gaps.gaps()
            .iter()
            .filter(|gap| gap.parent_loop.as_deref() == Some(id))
            .map(|gap| gap.id.clone())
            .collect()
    };
    assert!(gaps.gaps().iter().all(Gap::is_open));
    assert_eq!(of(WS1), ["GAP-OP-665"]);
    assert_eq!(of(CORE), ["GAP-OP-1291", "GAP-OP-1292", "GAP-OP-1293", "GAP-OP-1298"]);
    for (id, lines) in [(WS1, 4), (CORE, 9)] {
        let scope = scope(id);
        assert_eq!((scope.front.status, scope.body.gaps), (Status::Open, of(id)));
        assert_eq!((scope.body.acceptance.len(), scope.front.proof.len()), (lines, lines));
    }
}

#[test]
fn owners_are_roles() {
    let (gaps, scopes) = (gaps(), [scope(WS1), scope(CORE)]);
    let owners = gaps.gaps().iter().filter_map(|gap| gap.owner.as_deref());
    for owner in owners.chain(scopes.iter().map(|scope| scope.front.owner.as_str())) {
        assert!(owner.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{owner}");
    }
}

/// The commands that were typed before there was this repository, and are typed still.
#[test]
fn commands_stand_as_they_were() {
    for (id, commands) in [
        (
            WS1,
            &[
                "./bin/ops status",
                "./bin/ops cap run stability.control.snapshot",
                "./bin/ops cap run verify.route.recommend",
                "./bin/ops cap run infra.vm.provision --target communications-stack --profile spine-ready-v1 --vm-id 214 --dry-run",
                "./bin/ops cap run infra.vm.bootstrap --target communications-stack --profile spine-ready-v1 --vm-id 214 --dry-run",
                "./bin/ops cap run verify.core.run",
                "./bin/ops cap run verify.domain.run aof --force",
                "./bin/ops cap run verify.pack.run loop_gap",
                "echo \"yes\" | ./bin/ops cap run gaps.close --id GAP-OP-665 --status fixed --fixed-in \"<run-keys>\"",
                "./bin/ops loops close LOOP-COMMUNICATIONS-STACK-V1-IMPLEMENT-WS1-INFRA-20260218",
            ][..],
        ),
        (
            CORE,
            &[
                "./bin/ops cap run verify.run -- fast",
                "./bin/ops cap run session.handoff.create --summary \"checkpoint\" --loops LOOP-INFRA-CORE-CANONICAL-WAVE-20260302",
            ],
        ),
    ] {
        let scope = scope(id);
        for command in commands {
            assert!(scope.text().contains(&format!("`{command}`")), "{id} lacks {command}");
        }
    }
}

fn schema<T: JsonSchema>(file: &str, title: &str) {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("$id".into(), format!("https://opscap.dev/schemas/{file}.schema.json").into());
    schema.insert("title".into(), title.into());
    let made = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let path = repository().join(format!("docs/schemas/{file}.schema.json"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let published = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        published, made,
        "the types have changed: run this test with BLESS=1 and look at the difference"
    );
}

/// `BLESS=1` writes the schemas.
#[test]
fn the_published_schemas_are_those_of_the_types() {
    schema::<Gaps>("operational.gaps", "Operational gaps");
    schema::<Front>("loop.scope", "Front matter of a loop's scope file");
    schema::<Handoff>("session.handoff", "Session handoff");
}
